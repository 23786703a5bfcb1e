"""Base class and types of all settings: frozen, strict about keys, names, numbers and paths.

Names in the settings become names of files and rules and arguments of a shell, so one pattern
serves all of them.
"""

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

from kc.errors import without_secrets
from kc.names import Architecture, Start

NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
LAYER = r"[A-Za-z0-9][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*"
DEVICE = r"auto|cpu|cuda(:[0-9]{1,2})?"
UNSAFE = "{}$`\\\"'*?<>|;&"
"""Characters that paths may not hold: Snakemake or a cluster's shell would interpret them."""
LONGEST = 1000
"""Most characters of a path or a line of text."""


class _Short(reprlib.Repr):
    """Shortens values; removes secrets from texts before they are cut."""

    def repr_str(self, x: str, level: int) -> str:
        return super().repr_str(without_secrets(x), level)


_SHORT = _Short(maxstring=80, maxother=80, maxlong=40, maxlevel=3)


def shown(value: object) -> str:
    """Format a value for a message: short, on one line, without secrets."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to print more than 4,300 digits
        return "a number of thousands of digits"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a question after the known name closest to an unknown one; empty if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


def _spelled(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"expected {expected}, got {shown(text)}")
        return text

    return AfterValidator(check)


def _distinct[T: Sequence[Any]](values: T) -> T:
    if len(set(values)) < len(values):
        twice = next(value for index, value in enumerate(values) if value in values[:index])
        raise ValueError(f"{shown(twice)} appears twice in {shown(list(values))}: none may repeat")
    return values


def _one_line(text: str) -> str:
    if not text.strip() or len(text) > LONGEST or any(map(_is_control, text)):
        raise ValueError(
            f"expected one line of 1 to {LONGEST} characters without control characters, "
            f"got {shown(text)}"
        )
    return text


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _device(name: str) -> str:
    if not re.fullmatch(DEVICE, name):
        why = " (mps has no float64, in which kc sums)" if name == "mps" else ""
        raise ValueError(f"expected auto, cpu, cuda or cuda:1, got {shown(name)}{why}")
    return name


def usable_path(path: Path) -> Path:
    """Check that Snakemake and a shell would read a path as it is.

    Raises
    ------
    ValueError
        It holds control characters, braces or other special characters, or begins with - or ~.
    """
    text = str(path)
    wrong = sorted({letter for letter in text if letter in UNSAFE or _is_control(letter)})
    if wrong or text[0] in "-~" or len(text) > LONGEST:
        raise ValueError(
            f"{shown(text)} is no path for the workflow: expected at most {LONGEST} characters, "
            f"none of them a control character or one of {UNSAFE} , and no - or ~ at the "
            "beginning. Fix: rename the folder, or make a link to it"
        )
    return path


def path_within(path: Path) -> Path:
    """Check that a path holds no ``..``.

    Raises
    ------
    ValueError
        It does hold one.
    """
    if ".." in path.parts:
        raise ValueError(f"{shown(str(path))}: '..' is not allowed. Fix: give the absolute path")
    return path


def named_folder(path: Path) -> Path:
    """Check that a folder of products is neither the root nor the working directory.

    Raises
    ------
    ValueError
        It is one of them.
    """
    if path in (Path(), Path("/"), Path("//")):
        raise ValueError(
            f"'{path}' is not a separate folder. Fix: name one, such as 'results', or an absolute "
            "path below /"
        )
    return path


Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Side = Annotated[int, Field(ge=16, le=2048)]
"""Side of a stored picture, px."""
Distinct = AfterValidator(_distinct)
Seeds = Annotated[tuple[Seed, Seed], Distinct]
PairedSeeds = Annotated[tuple[Seed, ...], Field(min_length=2, max_length=64), Distinct]
"""Seeds of networks that are paired with each other."""
ChainSeeds = Annotated[tuple[Seed, ...], Field(min_length=1, max_length=64), Distinct]
"""Seeds of chains or pairs of networks that share none."""
Pairs = Literal["all", "ring"]
"""Ordered pairs among networks: all, or both directions of a ring."""
Name = Annotated[
    str,
    _spelled(
        NAME,
        "a name of 1 to 64 ASCII letters, digits, '_' and '-' that begins with a letter or digit",
    ),
    WithJsonSchema({"type": "string", "pattern": f"^{NAME}$"}),
]
Layer = Annotated[
    str,
    Field(max_length=64),
    _spelled(LAYER, "a layer such as conv5_3, or a graph node such as features.3"),
    WithJsonSchema({"type": "string", "pattern": f"^{LAYER}$", "maxLength": 64}),
]
Colours = tuple[float, float, float]
"""One number each for red, green and blue."""
DeviceName = Annotated[str, AfterValidator(_device), Field(json_schema_extra={"pattern": DEVICE})]
Words = Annotated[str, AfterValidator(_one_line)]
"""Free text: names of classes, networks or files."""
SomePath = Annotated[Path, AfterValidator(usable_path)]
PathWithin = Annotated[SomePath, AfterValidator(path_within)]
OwnFolder = Annotated[PathWithin, AfterValidator(named_folder)]
Layers = Annotated[tuple[Layer, ...], Field(min_length=1), Distinct]
LayersOf = dict[Architecture, Layers]
"""Layers by architecture: names of kc.names, or graph nodes."""


class Section(BaseModel):
    """A frozen group of settings that accepts only known keys and finite numbers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, about: Any) -> Any:
        """Raise ValueError for ``true`` in place of a number; Python would take it for 1."""
        wants = cls.model_fields[about.field_name or ""].annotation
        is_truth = wants in (bool, bool | None) or get_args(wants)[-1:] == (bool,)
        if not is_truth and any(isinstance(one, bool) for one in _scalars(value, wants)):
            raise ValueError(f"expected no true or false here, got {shown(value)}")
        return value


class StudySection(Section):
    """Settings of one study, and the data sets and layers that they name.

    Fields called ``dataset`` and ``layers`` (by architecture, or next to a field ``architecture``)
    are checked; a section that names data sets or layers elsewhere overrides the methods.
    """

    def datasets_named(self) -> Iterable[tuple[str, str]]:
        """Return the keys that name a data set, each with the data set."""
        if "dataset" in type(self).model_fields:
            yield "dataset", getattr(self, "dataset")  # noqa: B009

    def starts(self) -> frozenset[Start]:
        """Return what its own networks start from."""
        return frozenset()

    def layers_named(self) -> Iterable[tuple[str, Architecture, Sequence[str]]]:
        """Return the keys that name layers, each with the architecture and the layers."""
        layers = getattr(self, "layers", ())
        if isinstance(layers, Mapping):
            for architecture, some in layers.items():
                yield f"layers.{architecture}", architecture, some
        elif layers:
            yield "layers", getattr(self, "architecture"), layers  # noqa: B009


class NetworkStudy(StudySection):
    """Settings of a study that compares networks of its own."""

    weights: Start = Field(
        "scratch",
        description="what its networks start from: scratch, or pretrained (networks.NAME.weights), "
        "with a new last layer by seed",
    )

    def starts(self) -> frozenset[Start]:
        """Return what its networks start from."""
        return frozenset((self.weights,))


def _scalars(value: Any, wants: Any) -> Iterator[Any]:
    """Return a value, or those in a list or a mapping; sections inside it check their own."""
    inner = value
    if isinstance(value, Mapping):
        inner = list(value.values()) if get_origin(wants) is dict else ()
    if not isinstance(inner, (list, tuple)):
        yield value
        return
    for one in inner:
        yield from one if isinstance(one, (list, tuple)) else (one,)
