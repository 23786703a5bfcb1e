"""Settings of a comparison of the user's own networks or features."""

import re
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from kc.settings.preparation import Prepare
from kc.settings.sections import Name, Seed, Share, Words, usable_path

Tokens = Literal["all", "patches", "class"]
Align = Literal["auto", "pool", "grid"]
FieldOfView = Literal["common", "own"]
Letter = Literal["a", "b"]
Tapping = Literal["auto", "graph", "hooks"]
MatrixFit = Literal["none", "best", "all"]
MapLayout = Literal["auto", "nchw", "nhwc"]
Nodes = Annotated[tuple[Words, ...], Field(min_length=1)]
"""Layers of a network, or arrays of a file."""


NETWORK = (
    "a network with its weights, torchvision:NAME/WEIGHTS, timm:NAME.TAG, hf:ORG/MODEL or "
    "hf:FOLDER; a NAME for weights of yours; or path/file.py:function (the file is run and the "
    "function called without arguments)"
)
SIDE = (
    f"{NETWORK}; or features: FILE.npy, FILE.npz, FILE.zarr, FILE.h5:NAME, FILE.pt, "
    "FILE.safetensors, FILE.parquet, FILE.csv"
)
LAYER = (
    "a layer as 'kc layers' lists it, or an array of a file; all, or a list (separated by commas "
    "on the command line): each is compared with each layer of the other side"
)
REMOTE = "run code that comes from a repository (hub:OWNER/REPO:ENTRY, some hf:)"
WEIGHTS = "state dict (.pt, .pth, .th, .safetensors)"
IDS = (
    "ids of the rows of features: a file with one on each line, FILE.csv:COLUMN or "
    "FILE.parquet:COLUMN, or :COLUMN of the features' own table"
)
TAP = (
    "how layers are found: as nodes of the graph that torch.fx traces, or as modules, by hooks; "
    "auto: by hooks where the network cannot be traced"
)
LAYOUT = (
    "how maps are read: (channels, y, x) is nchw, (y, x, channels) is nhwc; auto: as the network "
    "tells, and nchw for features"
)
CENTRING: Literal["layer", "channel"] = "channel"
"""Default of a user's comparison: a constant is no knowledge of a network."""
TABLES = (".csv", ".tsv", ".parquet")
"""Suffixes of tables, whose columns may be features or ids."""
_SUFFIXES = (".npy", ".npz", ".zarr", ".h5", ".hdf5", ".pt", ".pth", ".safetensors", *TABLES)
FEATURES = re.compile(
    rf"(?P<path>.+?(?P<suffix>{'|'.join(map(re.escape, _SUFFIXES))}))/?(:(?P<only>.+))?",
    re.IGNORECASE,
)
"""Form of the name of a file of features; what follows its first suffix and a colon is inside."""
_COLUMN = re.compile(
    rf"(?P<path>.+?({'|'.join(map(re.escape, TABLES))}))?:(?P<column>.+)", re.IGNORECASE
)


def is_features(spec: str) -> bool:
    """Return whether a name is that of a file of features, not that of a network."""
    return FEATURES.fullmatch(spec) is not None


class IdsPlace(NamedTuple):
    """A file of ids, and the column of a table; None: its lines."""

    path: Path
    column: str | None


def ids_place(ids: Path | str, features: str) -> IdsPlace:
    """Return where ids are: ``FILE``, ``TABLE:COLUMN``, or ``:COLUMN`` of the features' table."""
    named = _COLUMN.fullmatch(str(ids))
    if named is None:
        return IdsPlace(Path(ids), None)
    own = FEATURES.fullmatch(features)
    return IdsPlace(Path(named["path"] or (own["path"] if own else features)), named["column"])


class Look(Prepare):
    """How pictures are prepared, and which part of a layer is compared."""

    view: FieldOfView = Field(
        "common",
        description="where the two networks see different parts of a picture: maps of the part "
        "that both see (common), or of all that each sees (own)",
    )
    test_share: Share = Field(
        0.4,
        description="share of the pictures used for testing, if there are no folders train/ and "
        "test/",
    )
    seed: Seed = Field(
        0, description="of the split, the order of the rows, the fits, and untrained weights"
    )
    tokens: Tokens = Field(
        "all", description="tokens of a transformer: all, those of patches, or the class token"
    )
    align: Align = Field(
        "auto",
        description="how layers of different shapes are compared: by their means over positions "
        "and tokens (pool), or tokens on their grid (grid); auto: grid if both have one",
    )
    tap: Tapping = Field("auto", description=TAP)
    labels: bool = Field(
        False,
        description="also compute what is missing of each class; needs pictures in class folders",
    )
    repeats: Annotated[int, Field(ge=1, le=20)] = Field(
        1,
        description="fits of each direction, each with another seed of g; with 2 or more, the "
        "tables show the spread of every share",
    )
    fits: MatrixFit = Field(
        "none",
        description="several layers: fit g to no pair, to each layer from the layer of the other "
        "side whose linear map misses least (best), or to all pairs, both ways",
    )
    ladder: bool | None = Field(
        None,
        description="also fit g of each order, and along lambda, to compare with the linear maps "
        "of each field (none: only those maps, if they cost less than the fit)",
    )


class PairSide(NamedTuple):
    """What is said of one side of a pair."""

    spec: str
    weights: Path | None
    ids: Path | str | None
    prepare: Prepare
    layout: MapLayout


class Pair(Look):
    """Two sides, each a network or a file of features; paths are relative to where kc runs."""

    a: Words = Field(description=SIDE)
    b: Words = Field(description=SIDE)
    layer_a: Words | Nodes | None = Field(None, description=LAYER)
    layer_b: Words | Nodes | None = Field(None, description=LAYER)
    layers: Words | Nodes | None = Field(
        None,
        description="layers of both sides: all, or a list (separated by commas on the command "
        "line); each is compared with each",
    )
    images: Path | None = Field(
        None,
        description="folder or archive of pictures, with or without class folders; none: both "
        "sides are features",
    )
    weights_a: Path | None = Field(None, description=WEIGHTS)
    weights_b: Path | None = Field(None, description=WEIGHTS)
    untrained: bool = Field(
        False, description="let a name without weights have random ones, of the seed"
    )
    remote_code: bool = Field(False, description=REMOTE)
    prepare_a: Prepare = Field(Prepare(), description="pictures of side a, if not as of both")
    prepare_b: Prepare = Field(Prepare(), description="pictures of side b, if not as of both")
    ids_a: Path | None = Field(None, description=IDS)
    ids_b: Path | None = Field(None, description=IDS)
    layout_a: MapLayout = Field("auto", description=LAYOUT)
    layout_b: MapLayout = Field("auto", description=LAYOUT)

    def side(self, letter: Letter) -> PairSide:
        """Return what is said of one side."""
        found = {name: getattr(self, f"{name}_{letter}") for name in PairSide._fields[1:]}
        return PairSide(self.a if letter == "a" else self.b, **found)

    @property
    def is_matrix(self) -> bool:
        """Whether several layers are compared."""
        some = (self.layer_a, self.layer_b)
        return self.layers is not None or any(
            layer == "all" or isinstance(layer, tuple) for layer in some
        )

    def files(self) -> list[Path]:
        """List the files that the result depends on."""
        sides = (self.a, self.b)
        found = [Path(side.rpartition(":")[0]) for side in sides if ".py:" in side]
        found += [Path(named["path"]) for named in map(FEATURES.fullmatch, sides) if named]
        given = [self.images, self.weights_a, self.weights_b]
        named = ((self.ids_a, self.a), (self.ids_b, self.b))
        given += [ids_place(ids, side).path for ids, side in named if ids is not None]
        return [*found, *(path for path in given if path is not None)]

    def tables(self) -> list[str]:
        """Return the names of the tables."""
        if self.is_matrix:
            # features alone have no pixels, and no twin without weights
            is_seen = self.images is not None
            return ["matrix", *(["references"] if is_seen else [])]
        ladder = [] if self.ladder is False else ["ladder"]
        return ["compare", "peers", *ladder, *(["classes"] if self.labels else [])]

    def outputs(self) -> list[str]:
        """List the files that are written for any layers, relative to the pair's folder."""
        suffixes = ("csv", "md", "tex", "json")
        found = [f"tables/{name}.{suffix}" for name in self.tables() for suffix in suffixes]
        if self.is_matrix:
            found += ["figures/matrix.png", "figures/matrix.svg"]
        elif self.ladder is not False:
            found += ["figures/ladder.png", "figures/ladder.svg"]
        return [*found, "index.html"]

    @model_validator(mode="after")
    def _a_side_is_a_network_or_features(self) -> "Pair":
        for letter, side, weights, ids in (
            ("a", self.a, self.weights_a, self.ids_a),
            ("b", self.b, self.weights_b, self.ids_b),
        ):
            if is_features(side) and weights is not None:
                raise ValueError(f"weights_{letter} '{weights}': '{side}' is a file of features")
            if not is_features(side) and ids is not None:
                raise ValueError(
                    f"ids_{letter} '{ids}': '{side}' is no file of features "
                    f"({', '.join(_SUFFIXES)}), and ids are features'"
                )
        return self

    @model_validator(mode="after")
    def _layers_are_told_once(self) -> "Pair":
        if self.layers is not None and (self.layer_a or self.layer_b):
            raise ValueError("layers is for both sides; expected it, or layer_a and layer_b")
        return self

    @model_validator(mode="after")
    def _classes_are_of_two_layers(self) -> "Pair":
        if self.labels and self.is_matrix:
            raise ValueError("labels needs one layer of each side; expected layer_a, layer_b")
        return self

    @model_validator(mode="after")
    def _more_fits_are_of_two_layers(self) -> "Pair":
        for name, asked in (("ladder", self.ladder), ("repeats", self.repeats > 1)):
            if asked and self.is_matrix:
                raise ValueError(f"{name} needs one layer of each side; expected layer_a, layer_b")
        return self

    @model_validator(mode="after")
    def _fits_are_of_many_layers(self) -> "Pair":
        if self.fits != "none" and not self.is_matrix:
            raise ValueError(
                f"fits '{self.fits}' is for several layers (one layer of each side is always "
                "fitted); expected layers"
            )
        return self


class Custom(Pair):
    """A pair of the workflow, with its name under ``results/custom``."""

    name: Name
    centring: Literal["layer", "channel"] = Field(
        CENTRING,
        description="replaces consistency.centring, which the tables of the papers use",
    )

    @model_validator(mode="after")
    def _its_files_suit_the_workflow(self) -> "Custom":
        for path in self.files():
            usable_path(path)
        return self
