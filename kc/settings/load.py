"""Read settings from YAML into :class:`kc.settings.whole.Settings`.

An error names the place of each fault, and the closest known name of an unknown key.
"""

import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ValidationError

from kc.errors import SettingsError
from kc.settings.file import read_mapping
from kc.settings.sections import nearest, shown
from kc.settings.whole import Settings

SHOWN = 20
"""Most faults that a message lists."""


def load_settings(raw: Mapping[str, Any]) -> Settings:
    """Convert a mapping read from YAML to settings.

    Raises
    ------
    SettingsError
        The message has a line for each fault: where, got, expected, the closest known name.
    """
    try:
        return Settings.model_validate(dict(raw))
    except ValidationError as error:
        faults = [f"  {_describe(fault)}" for fault in error.errors()[:SHOWN]]
        if error.error_count() > SHOWN:
            faults.append(f"  and {error.error_count() - SHOWN} more")
        raise SettingsError(
            f"settings: {error.error_count()} fault(s)\n" + "\n".join(faults) + "\n"
            "Fix: correct config.yaml, the preset or --config; "
            "'kc config schema' lists every key with its type."
        ) from None


def read_settings(files: Iterable[Path], over: Mapping[str, Any] | None = None) -> Settings:
    """Read YAML files, each merged deeply over those before it, as Snakemake does; then ``over``.

    Raises
    ------
    SettingsError
        A file cannot be read (:func:`kc.settings.file.read_mapping`), or a setting is wrong.
    """
    raw: dict[str, Any] = {}
    for file in files:
        raw = overlaid(raw, read_mapping(file))
    return load_settings(overlaid(raw, dict(over or {})))


def overlaid(base: Any, over: Any) -> Any:
    """Merge mappings deeply, as Snakemake does: other values replace those of the base."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: overlaid(base.get(key), value) for key, value in over.items()}


def _describe(fault: Any) -> str:
    location = [str(part) for part in fault["loc"] if part != "[key]"]
    where = ".".join(map(_part, location)) or "(whole)"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        return f"{where}: unknown key{nearest(location[-1], known)}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: {message} (got {shown(fault['input'])})"


def _part(key: str) -> str:
    """Format a key of the user's on one line."""
    return key if key.isprintable() and len(key) <= 80 else shown(key)


def _keys_at(location: list[str]) -> list[str]:
    """List the keys that the section at a fault's location allows."""
    annotation: Any = Settings
    for part in location:
        model = _model_in(annotation)
        if model is not None and part in model.model_fields:
            annotation = model.model_fields[part].annotation
        elif typing.get_origin(annotation) is dict:
            annotation = typing.get_args(annotation)[1]
    model = _model_in(annotation)
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (types.UnionType, typing.Union, Annotated):
        for part in typing.get_args(annotation):
            if (found := _model_in(part)) is not None:
                return found
    return None
