"""Options of several commands, and options that are made from fields of the settings."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from kc.errors import SettingsError
from kc.settings.sections import Section, shown

Base = Annotated[Path, typer.Option(help="the default settings")]
OverNetwork = Annotated[
    bool, typer.Option("--network", help="read arrays in a bucket that a manifest names")
]
StorePath = Annotated[Path, typer.Argument(help="the store (NAME.zarr) or its manifest")]


def with_options[**P, R](*options: Parameter) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add options to a command, which takes them as ``**given``."""

    def add(command: Callable[P, R]) -> Callable[P, R]:
        parameters = signature(command).parameters.values()
        own = [one for one in parameters if one.kind is not Parameter.VAR_KEYWORD]
        # all that typer reads
        command.__signature__ = Signature(  # type: ignore[attr-defined]
            sorted([*options, *own], key=lambda one: one.default is not one.empty)
        )
        return command

    return add


def options_of(section: type[Section], *names: str, of: str = "") -> list[Parameter]:
    """Turn fields of settings into options with their name, type, default and description.

    ``of``: stands before the descriptions.

    Values are checked by the settings (:func:`settings_of`), so that a command and a file of
    settings give the same errors.
    """
    return [_option(name, section.model_fields[name], of) for name in names]


def settings_of[S: Section](section: type[S], given: Mapping[str, Any]) -> S:
    """Turn options into settings; commas separate the values of a list.

    Raises
    ------
    SettingsError
        A value is invalid; its option is named.
    """
    fields = section.model_fields
    read = {
        name: _listed(value) if name in fields and _may_be_a_list(fields[name]) else value
        for name, value in given.items()
    }
    try:
        return section.model_validate(read)
    except ValidationError as error:
        fault = error.errors()[0]
        # a location has numbers of list items and members of unions besides names
        names = [part for part in fault["loc"] if isinstance(part, str) and part.isidentifier()]
        where = f"--{_spelled(names)}: " if names else ""
        told = fault["type"] == "value_error"  # its message has the value already
        got = f" (got {shown(fault['input'])})" if names and not told else ""
        message = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{where}{message}{got}") from None


def _spelled(names: Sequence[str]) -> str:
    """Return the option of a setting; one of a side's section has the side's letter."""
    letter = names[0][-2:] if len(names) > 1 and names[0][-2:] in ("_a", "_b") else ""
    return f"{names[-1]}{letter}".replace("_", "-")


def _option(name: str, field: FieldInfo, of: str = "") -> Parameter:
    kind = _plain(field.annotation)
    members = (field.annotation, *get_args(field.annotation))
    choices = [str(c) for one in members if get_origin(one) is Literal for c in get_args(one)]
    told = (field.description or "") + (f" ({', '.join(choices)})" if choices else "")
    told = f"{of}: {told}" if of else told
    # a flag gets no --no-NAME
    about = typer.Option(*([f"--{name.replace('_', '-')}"] if kind is bool else []), help=told)
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if field.is_required() else field.get_default(),
        annotation=Annotated[kind, about],
    )


def _plain(annotation: Any) -> Any:
    """Return the type that typer reads for a type of the settings; of a union the first."""
    inner = get_args(annotation)
    match get_origin(annotation):
        case origin if origin is Annotated:
            return _plain(inner[0])
        case origin if origin is Literal:
            return type(inner[0])
        case origin if origin in (Union, UnionType):
            first = _plain(next(one for one in inner if one is not NoneType))
            return first | None if NoneType in inner else first
        case origin if origin is tuple:
            return tuple[*map(_plain, inner)]  # type: ignore[misc]
    return annotation


def _may_be_a_list(field: FieldInfo) -> bool:
    """Return whether one of a field's types is a tuple of any length."""
    members = [get_args(one)[0] if get_origin(one) is Annotated else one
               for one in get_args(field.annotation)]  # fmt: skip
    return any(get_origin(one) is tuple and Ellipsis in get_args(one) for one in members)


def _listed(given: str | None) -> str | tuple[str, ...] | None:
    """Read one name, or several separated by commas."""
    if given is None or "," not in given:
        return given
    return tuple(name.strip() for name in given.split(",") if name.strip())
