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

Base = Annotated[Path, typer.Option(help="the default settings; where there are none, those of kc")]
OverNetwork = Annotated[
    bool, typer.Option("--network", help="read arrays in a bucket that a manifest names")
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for other programs")]
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


def options_of(
    section: type[Section], *names: str, of: str = "", panel: str | None = None
) -> list[Parameter]:
    """Turn fields of settings into options with their name, type, default and description.

    ``of``: stands before the descriptions. ``panel``: the group of the help that shows them.

    Typer checks choices and plain types; the settings check the rest (:func:`settings_of`), so that
    a command and a file of settings give the same errors.
    """
    return [_option(name, section.model_fields[name], of, panel) for name in names]


def optional(option: Parameter) -> Parameter:
    """Return the same option, which need not be given."""
    kind, *about = get_args(option.annotation)
    return option.replace(default=None, annotation=Annotated[kind | None, *about])


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


def _option(name: str, field: FieldInfo, of: str, panel: str | None) -> Parameter:
    kind = _plain(field.annotation)
    told = f"{of}: {field.description}" if of else field.description
    # a flag gets no --no-NAME
    flag = [f"--{name.replace('_', '-')}"] if kind is bool else []
    about = typer.Option(*flag, help=told, metavar=_metavar(field), rich_help_panel=panel)
    return Parameter(
        name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if field.is_required() else field.get_default(),
        annotation=Annotated[kind, about],
    )


def _metavar(field: FieldInfo) -> str | None:
    """Return what stands for a value in the help, where typer's own word would be wrong."""
    members = _members(field.annotation)
    if members == [bool]:
        return None
    words = [str(c) for one in members if get_origin(one) is Literal for c in get_args(one)]
    plain = [one for one in members if get_origin(one) is not Literal]
    if words and plain:
        return "|".join(["number" if one in (float, int) else "text" for one in plain] + words)
    if (
        len(members) == 1
        and get_origin(members[0]) is tuple
        and Ellipsis not in get_args(members[0])
    ):
        return "R G B"
    return None


def _members(annotation: Any) -> list[Any]:
    """Return the types of a union without None, or the type alone; without their constraints."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for inner in get_args(annotation) for one in _members(inner)]
    return [] if annotation is NoneType else [annotation]


def _plain(annotation: Any) -> Any:
    """Return the type that typer reads for a type of the settings: of several types, text."""
    members = _members(annotation)
    one = str if len(members) > 1 else members[0]
    if get_origin(one) is tuple:
        one = tuple[*map(_plain, get_args(one))]  # type: ignore[misc]
    return one | None if NoneType in get_args(annotation) else one


def _may_be_a_list(field: FieldInfo) -> bool:
    """Return whether a field is one value or a tuple of any length."""
    members = _members(field.annotation)
    return len(members) > 1 and any(
        get_origin(one) is tuple and Ellipsis in get_args(one) for one in members
    )


def _listed(given: str | None) -> str | tuple[str, ...] | None:
    """Read one name, or several separated by commas."""
    if given is None or "," not in given:
        return given
    return tuple(name.strip() for name in given.split(",") if name.strip())
