"""Every setting, once: name, type, unit, default, what it may not be.

``config.yaml`` and the presets are read into these frozen models; unknown keys are refused with
the nearest known name. The JSON schema beside this file is generated from here. Imports nothing
heavy, so that the Snakefile can read it.
"""

import difflib
import json
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from kc.errors import SettingsError
from kc.files.checksum import PATTERN
from kc.names import LAYER_NODES, Architecture
from kc.settings.cluster import Cluster
from kc.settings.concepts import Concepts
from kc.settings.custom import Custom
from kc.settings.file import read_mapping
from kc.settings.sections import (
    Count,
    Folder,
    Name,
    PathWithin,
    Positive,
    Section,
    Seed,
    Share,
    Side,
    SomePath,
    Words,
    shown,
)
from kc.settings.storage import Storage
from kc.settings.studies import (
    Baselines,
    BornAgain,
    Compression,
    CrossTask,
    Diagnosis,
    Orders,
    Pictures,
    Redundancy,
    Refinement,
    Stability,
    Tails,
)

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Checksum = Annotated[str, Field(pattern=PATTERN)]
Synset = Annotated[str, Field(pattern="^n[0-9]{8}$")]
"""A noun of WordNet 3.0, as ImageNet numbers it."""


def _address(url: str) -> str:
    """Refuse what is no address of the web; the message shows none of it, it may hold a key."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port
        good = False
    if not good or len(url) > 2000 or re.search(r"[\s\\\x00-\x1f\x7f-\x9f]", url):
        raise ValueError(
            "expected an address http://host/path or https://host/path, without blanks. Cure: "
            "spell odd letters of a password as %XX, or keep it in ~/.netrc"
        )
    return url


def _below(url: str, file: str) -> str:
    """Name a file below an address, before its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{file}"))


def _digit(given: object) -> object:
    """Read a digit that Snakemake's --config hands on as text."""
    return int(str(given)) if given in ("1", "3", "5") else given


class Generated(Section):
    """Drawn pictures, fine-grained by construction, written in the layout of the real archive."""

    classes: Annotated[int, Field(ge=2, le=200)] = 20
    images_per_class: Annotated[int, Field(ge=4, le=10_000)] = 60
    test_share: Share = Field(0.4, description="share of each class's images kept for testing")
    canvas: Annotated[int, Field(ge=32, le=1024)] = Field(
        96, description="side of a drawn picture, px"
    )
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="how much pose, light and background vary beside what makes a class"
    )
    seed: Seed = 0


class Dataset(Section):
    """One data set: a layout on disk, and where it comes from."""

    layout: Literal["cub", "dogs", "voc", "det", "folder", "mixture"] = Field(
        "cub",
        description="how the archive is laid out: CUB-200-2011, Stanford Dogs, Pascal VOC, "
        "ILSVRC DET, a folder per class, or a mixture of other data sets",
    )
    archive: PathWithin | None = Field(
        None,
        description="archive or extracted folder, relative to data_root; none: generated pictures",
    )
    url: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="where the archive is to be had; a password or token in it is shown nowhere",
    )
    files: dict[FileName, Checksum | None] = Field(
        {},
        description="archives in the folder 'archive', to be had below 'url': checksum by name; "
        "null: unknown, that of the file first seen is kept to",
    )
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="checksum of the archive; checked where it is given"
    )
    images: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="images the archive holds, for 'kc plan' before it is at hand"
    )
    generated: Generated = Generated()
    size: Side = Field(64, description="side of a stored picture, px")
    seed: Seed = Field(0, description="of the fixed random order of the rows, and of test_share")
    parts: tuple[Name, ...] = Field(
        (), description="layout mixture: the data sets mixed, in the order of their labels"
    )
    crop: Annotated[float, Field(ge=1, le=100)] = Field(
        1.0, description="what is kept of a picture: the object's box, widened by this factor"
    )
    box_foreground: bool = Field(
        False, description="an object without a mask has its box for foreground; wants crop above 1"
    )
    difficult: bool = Field(False, description="layout voc: keep the objects marked difficult")
    synsets: dict[Synset, Words] = Field(
        {}, description="layout det: WordNet synsets kept, each with a name; none: all"
    )
    test_share: Share = Field(
        0.4, description="layout folder without train/ and test/: share of each class tested on"
    )

    @model_validator(mode="after")
    def _crops_have_boxes(self) -> "Dataset":
        if self.layout in ("folder", "mixture") and (self.crop > 1 or self.box_foreground):
            raise ValueError(
                f"crop and box_foreground are about boxes, which layout '{self.layout}' has none of"
            )
        if self.box_foreground and self.crop == 1:
            raise ValueError(
                "box_foreground needs a crop above 1: a crop to the box shows nothing beside it. "
                "Cure: crop: 1.2, as [C20] has for VOC, or 1.5, as for DET"
            )
        if self.synsets and self.layout != "det":
            raise ValueError(f"synsets are for layout 'det', not '{self.layout}'")
        return self

    @model_validator(mode="after")
    def _files_have_an_address(self) -> "Dataset":
        if self.files and (self.url is None or self.archive is None):
            raise ValueError(
                "files are fetched from below 'url' into the folder 'archive': set both"
            )
        return self

    @model_validator(mode="after")
    def _parts_are_for_mixtures(self) -> "Dataset":
        if self.layout != "mixture":
            if self.parts:
                raise ValueError(
                    f"parts {list(self.parts)} are for layout 'mixture', not '{self.layout}'"
                )
            if self.layout == "folder" and self.archive is None:
                raise ValueError(
                    "layout 'folder' needs an archive: pictures are drawn in the layouts cub, "
                    "dogs, voc and det only"
                )
            return self
        if len(self.parts) < 2 or len(set(self.parts)) < len(self.parts):
            raise ValueError(
                f"layout 'mixture' needs two or more different parts, got {list(self.parts)}"
            )
        if self.archive is not None:
            raise ValueError(
                f"layout 'mixture' has no archive of its own, got '{self.archive}'. "
                "Cure: name the data sets it mixes in 'parts'"
            )
        return self


class Recipe(Section):
    """How a classifier is trained. The default is ours for small networks."""

    epochs: Count = 30
    dataset_epochs: dict[Name, Count] = Field(
        {}, description="epochs by data set, in place of epochs"
    )
    batch_size: Count = 32
    learning_rate: Positive = 0.05
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    schedule: Literal["one_cycle", "step"] = Field(
        "one_cycle", description="one_cycle: up over the first 30 %, cosine down; step: see below"
    )
    step_epochs: Count = Field(60, description="schedule step: epochs between two drops")
    step_factor: Share = Field(0.3, description="schedule step: factor of each drop")
    augment: bool = Field(False, description="mirror and shift training pictures")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    halves_keep_steps: bool = Field(
        True, description="networks trained on half the images take twice the epochs"
    )
    checkpoint_epochs: Count = Field(
        10, description="epochs between two saved states; a kill costs at most these"
    )


class Network(Section):
    """The shape of one architecture; the defaults are torchvision's own."""

    width: Annotated[float, Field(ge=0.01, le=1)] = Field(1.0, description="factor on all channels")
    head_units: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        None, description="units of the hidden fully connected layers (VGG, AlexNet); none: own"
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    small_input: bool = Field(
        False, description="AlexNet: first stride 2, so that 64 px pictures leave a map to look at"
    )
    weights: Words | None = Field(
        None,
        description="pretrained weights to start from: imagenet (torchvision's, in torch's cache) "
        "or a file; none: from scratch",
    )
    learning_rate: Positive | None = Field(None, description="in place of the recipe's")
    epochs: Count | None = Field(None, description="in place of the recipe's")


class Activations(Section):
    """How features are stored."""

    dtype: Literal["float16", "float32", "bfloat16"] = Field(
        "float16", description="numbers features are stored as"
    )
    compressor: Literal["none", "lz4", "zstd"] = "none"
    shard_rows: Count = Field(256, description="images in one shard; a kill costs at most one")
    batch_size: Count = 128


class Optimiser(Section):
    """How g is fitted under the preset ``paper`` (``released`` has its own, fixed)."""

    epochs: Count = Field(20, description="of each fit")
    batch_size: Count = 64
    learning_rate: Positive = 5e-4
    gain_learning_rate: Positive = Field(5e-2, description="of q, p = sigmoid(q)")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.05, description="decoupled; not on q")
    closed_form_start: bool = Field(True, description="W(0) starts from the best linear map")
    validation_share: Share = Field(0.1, description="share of the training images to stop on")


class Consistency(Section):
    """The reconstruction network g and its decomposition."""

    preset: Literal["paper", "released"] = "paper"
    order: Annotated[int, Field(ge=0, le=5)] = Field(2, description="K, non-linear layers of g")
    kernel_size: Annotated[Literal[1, 3, 5], BeforeValidator(_digit)] = 3
    penalty: Annotated[float, Field(ge=0)] | Literal["raw_equivalent"] = Field(
        0.1,
        description="lambda on sum p^2; raw_equivalent: the paper's raw lambda / Var(x*)",
    )
    optimiser: Optimiser = Optimiser()
    components: Literal["none", "test", "all"] = Field(
        "test", description="images whose components are kept on disk; variances need none"
    )
    buffer_shards: Count = Field(8, description="shards shuffled together when streaming")
    memory_gb: Positive = Field(4.0, description="features larger than this are streamed, GB")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the products inside a fit; parts are always made in float32"
    )

    @model_validator(mode="after")
    def _released_is_fixed(self) -> "Consistency":
        if self.preset == "released" and self.penalty == "raw_equivalent":
            raise ValueError("penalty 'raw_equivalent' is for preset 'paper': 'released' is raw")
        return self


class Settings(Section):
    """The whole of ``config.yaml``."""

    results: Folder = Field(Path("results"), description="folder of everything that is made")
    data_root: SomePath | None = Field(None, description="folder of the archives")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    jobs: Literal["architecture", "network"] = Field(
        "architecture",
        description="networks trained and recorded in one job: all of an architecture, or one",
    )
    cluster: Cluster = Cluster()
    storage: Storage = Storage()
    datasets: dict[Name, Dataset] = {"birds": Dataset()}
    networks: dict[Architecture, Network] = {}
    training: Recipe = Recipe()
    activations: Activations = Activations()
    consistency: Consistency = Consistency()
    tails: Tails = Tails()
    pictures: Pictures = Pictures()
    stability: Stability = Stability()
    diagnosis: Diagnosis = Diagnosis()
    refinement: Refinement = Refinement()
    redundancy: Redundancy = Redundancy()
    compression: Compression = Compression()
    born_again: BornAgain = BornAgain()
    cross_task: CrossTask = CrossTask()
    orders: Orders = Orders()
    baselines: Baselines = Baselines()
    concepts: Concepts = Concepts()
    custom: tuple[Custom, ...] = Field(
        (), description="pairs of networks of one's own, compared into results/custom/NAME"
    )

    @model_validator(mode="after")
    def _names_resolve(self) -> "Settings":
        for name, dataset in self.datasets.items():
            archive = dataset.archive
            if archive is not None and not archive.is_absolute() and self.data_root is None:
                raise ValueError(
                    f"datasets.{name}.archive is '{archive}' but data_root is not set. "
                    "Cure: --config data_root=FOLDER"
                )
        for name, about in self.datasets.items():
            for part in about.parts:
                if part not in self.datasets or self.datasets[part].parts:
                    raise ValueError(
                        f"datasets.{name}.parts: '{part}' is no data set to mix"
                        f"{_nearest(part, self.datasets)}; datasets: {', '.join(self.datasets)}"
                    )
        names = [pair.name for pair in self.custom]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"custom: '{name}' stands twice; each pair has its own name")
        for where, architecture, layers in _layers_named(self):
            known = LAYER_NODES[architecture]
            for layer in layers:
                if layer not in known and "." not in layer:
                    raise ValueError(
                        f"{where}: '{layer}' is no layer of "
                        f"{architecture}{_nearest(layer, known)}; known: {', '.join(known)}, "
                        "or any graph node such as 'features.3'"
                    )
        return self

    def archive_of(self, dataset: str) -> Path | None:
        """Give the archive's path, or None where the pictures are generated."""
        archive = self.datasets[dataset].archive
        if archive is None or archive.is_absolute() or self.data_root is None:
            return archive
        return self.data_root / archive

    def downloads(self) -> list[tuple[str, Path, str | None]]:
        """List the public archives: address, path, and checksum where one is known."""
        found: list[tuple[str, Path, str | None]] = []
        for name, about in self.datasets.items():
            path = self.archive_of(name)
            if path is None or about.url is None:
                continue
            if about.files:
                found += [
                    (_below(about.url, file), path / file, checksum)
                    for file, checksum in about.files.items()
                ]
            else:
                found.append((about.url, path, about.md5 and f"md5:{about.md5}"))
        return found

    def of_study(self, study: str) -> "Settings":
        """Give the settings one study depends on; sections it does not read are at their defaults.

        Baselines stand beside other studies' pairs, so they depend on all of these.
        """
        if study == "baselines":
            none: dict[str, Any] = {"cluster": Cluster(), "storage": Storage(), "custom": ()}
            return self.model_copy(update=none)
        sections: dict[str, type[Section]] = {
            **STUDIES,
            "concepts": Concepts,
            "cluster": Cluster,
            "storage": Storage,
        }
        others = {name: kind() for name, kind in sections.items() if name != study}
        return self.model_copy(update=others | {"custom": ()})

    def network(self, architecture: Architecture) -> Network:
        """Give an architecture's shape; torchvision's own where none is set."""
        return self.networks.get(architecture, Network())


STUDIES: Mapping[str, type[Section]] = types.MappingProxyType(
    {
        "stability": Stability,
        "diagnosis": Diagnosis,
        "refinement": Refinement,
        "redundancy": Redundancy,
        "compression": Compression,
        "born_again": BornAgain,
        "cross_task": CrossTask,
        "orders": Orders,
        "baselines": Baselines,
    }
)
"""The sections that belong to one study each; every other section may concern all."""


def _layers_named(settings: Settings) -> Iterable[tuple[str, Architecture, tuple[str, ...]]]:
    """Give every place layers are named in, for checks."""
    for name in STUDIES:
        section = getattr(settings, name)
        layers = getattr(section, "layers", ())
        if isinstance(layers, Mapping):
            for architecture, some in layers.items():
                yield f"{name}.layers.{architecture}", architecture, some
        elif layers:
            yield f"{name}.layers", section.architecture, layers
    about = settings.diagnosis
    yield "diagnosis.weak_layer", about.weak, (about.weak_layer,)
    yield "diagnosis.strong_layer", about.strong, (about.strong_layer,)


SHOWN = 20
"""Faults a message lists."""


def load_settings(raw: Mapping[str, Any]) -> Settings:
    """Check a mapping read from YAML.

    Raises
    ------
    SettingsError
        One line a fault: where, what was got, what was expected, the nearest known name.
    """
    try:
        return Settings.model_validate(dict(raw))
    except ValidationError as error:
        faults = [f"  {_describe(fault)}" for fault in error.errors()[:SHOWN]]
        if error.error_count() > SHOWN:
            faults.append(f"  and {error.error_count() - SHOWN} more")
        raise SettingsError(
            f"settings: {error.error_count()} fault(s)\n" + "\n".join(faults) + "\n"
            "Cure: mend config.yaml, the preset or --config; "
            "'kc config schema' lists every key with its type."
        ) from None


def read_settings(files: Iterable[Path], over: Mapping[str, Any] | None = None) -> Settings:
    """Read YAML files, each merged deeply over those before it, as Snakemake does; then ``over``.

    Raises
    ------
    SettingsError
        A file that is missing or no YAML mapping (:func:`kc.settings.file.read_mapping`), or any
        faulty setting.
    """
    raw: dict[str, Any] = {}
    for file in files:
        raw = _merged(raw, read_mapping(file))
    return load_settings(_merged(raw, dict(over or {})))


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: _merged(base.get(key), value) for key, value in over.items()}


def json_schema() -> str:
    """Give the JSON schema of the settings, as it lies in ``kc/settings/schema.json``."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


def _describe(fault: Any) -> str:
    location = [str(part) for part in fault["loc"] if part != "[key]"]
    where = ".".join(map(_part, location)) or "(whole)"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        return f"{where}: unknown key{_nearest(location[-1], known)}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: {message} (got {shown(fault['input'])})"


def _part(key: str) -> str:
    """Spell a key that somebody chose on one line."""
    return key if key.isprintable() and len(key) <= 80 else shown(key)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean '{close[0]}'?" if close else ""


def _keys_at(location: list[str]) -> list[str]:
    """List the keys a section allows, following a fault's location down the models."""
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
