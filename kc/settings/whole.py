"""All of ``config.yaml``: settings that concern all studies, and each study's section.

A study's section comes from its record (:mod:`kc.plans.records`). Frozen models; unknown keys are
errors. Imports nothing heavy, so that the Snakefile can read it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field, create_model, model_validator

from kc.names import LAYER_NODES, Architecture
from kc.plans.products import Grouping
from kc.plans.registry import STUDIES
from kc.settings.cluster import Cluster
from kc.settings.custom import Custom
from kc.settings.dataset import Dataset
from kc.settings.feature_maps import Activations, Pictures
from kc.settings.recipes import Network, Recipe, Tails
from kc.settings.reconstruction import Consistency
from kc.settings.sections import (
    DeviceName,
    Name,
    OwnFolder,
    Section,
    SomePath,
    StudySection,
    Words,
    nearest,
)
from kc.settings.storage import Storage


class Common(Section):
    """Settings that concern all studies, and checks across sections."""

    results: OwnFolder = Field(Path("results"), description="folder of all products")
    data_root: SomePath | None = Field(None, description="folder of the archives")
    device: DeviceName = "auto"
    jobs: Literal["auto", "architecture", "network"] = Field(
        "auto",
        description="networks that one job trains, records, or fits: all of an architecture, or "
        "one (two for a fit); auto: all to record, else one",
    )
    container: Words | None = Field(
        None, description="image for --sdm apptainer, such as docker://NAME (Dockerfile builds one)"
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
    custom: tuple[Custom, ...] = Field(
        (), description="the user's own pairs of networks, compared into results/custom/NAME"
    )

    def of[S: StudySection](self, kind: type[S]) -> S:
        """Return the section of the study of class ``kind`` (``settings.of(Stability)``)."""
        (name,) = (name for name, study in STUDIES.items() if study.settings is kind)
        return cast(S, self.section(name))

    def section(self, study: str) -> StudySection:
        """Return the section of a study by its name."""
        return cast(StudySection, getattr(self, study))

    def of_study(self, study: str) -> "Settings":
        """Return the settings that a study depends on; other sections are at their defaults.

        A study of other studies' results depends on all of their sections.
        """
        unread: dict[str, Any] = {"container": None, "cluster": Cluster()}
        unread |= {"storage": Storage(), "custom": ()}
        unread |= {name: STUDIES[name].settings() for name in self._unread_by(study)}
        return cast("Settings", self.model_copy(update=unread))

    def told(self, study: str) -> dict[str, Any]:
        """Return the settings that a study's job gets: :meth:`of_study` without unread sections.

        A new study then causes no rerun of the others.
        """
        return self.of_study(study).model_dump(mode="json", exclude=self._unread_by(study))

    def archive_of(self, dataset: str) -> Path | None:
        """Return the archive's path, or None if the pictures are generated."""
        archive = self.datasets[dataset].archive
        if archive is None or archive.is_absolute() or self.data_root is None:
            return archive
        return self.data_root / archive

    def downloads(self) -> list[tuple[str, Path, str | None]]:
        """List the public archives: address, path, and checksum if one is known."""
        paths = {name: self.archive_of(name) for name in self.datasets}
        return [
            found
            for name, path in paths.items()
            if path is not None
            for found in self.datasets[name].downloads(path)
        ]

    def grouping(self, work: Literal["training", "recording", "fitting"]) -> Grouping:
        """Return how networks are grouped into jobs."""
        if self.jobs == "auto":
            return "architecture" if work == "recording" else "network"
        return self.jobs

    def network(self, architecture: Architecture) -> Network:
        """Return an architecture's shape; torchvision's own if none is set."""
        return self.networks.get(architecture, Network())

    def _unread_by(self, study: str) -> set[str]:
        """Return the studies whose sections a study does not read."""
        return set() if STUDIES[study].beside_others else {*STUDIES} - {study}

    @model_validator(mode="after")
    def _archives_have_a_root(self) -> "Common":
        for name, dataset in self.datasets.items():
            archive = dataset.archive
            if archive is not None and not archive.is_absolute() and self.data_root is None:
                raise ValueError(
                    f"datasets.{name}.archive is '{archive}' but data_root is not set. "
                    "Fix: --config data_root=FOLDER"
                )
        return self

    @model_validator(mode="after")
    def _parts_are_there(self) -> "Common":
        for name, about in self.datasets.items():
            for part in about.parts:
                if part not in self.datasets or self.datasets[part].parts:
                    raise ValueError(
                        f"datasets.{name}.parts: '{part}' is no data set to mix"
                        f"{nearest(part, self.datasets)}; datasets: {', '.join(self.datasets)}"
                    )
        return self

    @model_validator(mode="after")
    def _pairs_have_names_of_their_own(self) -> "Common":
        for name, count in Counter(pair.name for pair in self.custom).items():
            if count > 1:
                raise ValueError(f"custom: '{name}' appears twice; each pair needs its own name")
        return self

    @model_validator(mode="after")
    def _layers_are_known(self) -> "Common":
        for where, architecture, layer in self._layers_named():
            known = LAYER_NODES[architecture]
            if layer not in known and "." not in layer:
                raise ValueError(
                    f"{where}: '{layer}' is no layer of "
                    f"{architecture}{nearest(layer, known)}; known: {', '.join(known)}, "
                    "or any graph node such as 'features.3'"
                )
        return self

    def _layers_named(self) -> Iterator[tuple[str, Architecture, str]]:
        for name in STUDIES:
            for where, architecture, layers in self.section(name).layers_named():
                for layer in layers:
                    yield f"{name}.{where}", architecture, layer


assert not STUDIES.keys() & Common.model_fields.keys(), "a study has the name of a common section"
if TYPE_CHECKING:

    class Settings(Common):
        """All of ``config.yaml``."""

else:
    Settings = create_model(
        "Settings",
        __base__=Common,
        __doc__="All of ``config.yaml``.",
        __module__=__name__,
        **{name: (study.settings, study.settings()) for name, study in STUDIES.items()},
    )


def json_schema() -> str:
    """Return the JSON schema of the settings."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"
