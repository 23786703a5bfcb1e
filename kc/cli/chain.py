"""Follow a table back to the images, and compare each product with what is on disk now."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kc.cli.link import Link
from kc.cli.walk import Walk
from kc.errors import StoreError
from kc.files.sources import FOLDER, spell
from kc.plans.commands import fix_at, remake
from kc.provenance import code_hash
from kc.store import Store
from kc.store.files import file_digest, read_json

_OF_STUDY = frozenset({"study", "settings", "code", "networks", "files"})
_OF_COMPARISON = frozenset({"images", "fits", "device", *(_OF_STUDY - {"study"})})


def chain(table: Path, quick: bool = False) -> Link:
    """Follow a table of the workflow, or of ``kc compare``, back to its images.

    Parameters
    ----------
    table
        Any file of the table (``results/tables/NAME.csv``, ``.md``, ``.tex``, ``.json``).
    quick
        Compare digests that cards and manifests hold, without reading stores and weights again.

    Raises
    ------
    StoreError
        The table is missing, or was not written by kc.
    """
    origin = read_origin(table)
    walk = _OfStudy if is_of_study(origin) else _OfComparison
    return walk(table.parent.parent, origin, quick).table(table)


def is_of_study(origin: Mapping[str, Any]) -> bool:
    """Return whether a table was made by the workflow, not by ``kc compare``."""
    return "study" in origin


def read_origin(table: Path) -> dict[str, Any]:
    """Read the record of what a table was made from.

    Raises
    ------
    StoreError
        As :func:`chain`.
    """
    file = table.with_suffix(".json")
    if not file.is_file():
        raise StoreError(
            f"{file}: no such file; it records what a table was made from. Fix: name a table of "
            "kc, e.g. results/tables/table1.csv, or make it: "
            f"{fix_at(table, remake(table))}"
        )
    origin = read_json(file)
    told = set(origin) if isinstance(origin, dict) else set()
    if not (told >= _OF_STUDY or told >= _OF_COMPARISON):
        raise StoreError(
            f"{file}: has no {', '.join(sorted(_OF_STUDY - told))}, so it is not a table of "
            "kc, or was written by an older version. Fix: make it again: "
            f"{fix_at(table, remake(table))}"
        )
    return dict(origin)


class _OfStudy(Walk):
    """The chain of a table of the workflow."""

    def table(self, table: Path) -> Link:
        origin = self.origin
        now = code_hash(f"kc.studies.{origin['study']}")
        found = self.of_table(table, f"study {origin['study']}", now)
        for name, digest in origin.get("tables", {}).items():
            self.follow(found, self.other, name, digest)
        for name, about in origin.get("fits", {}).items():
            self.follow(found, self.fit, name, about["digest"])
        for kind, some in origin.get("beside", {}).items():
            for name, digest in some.items():
                self.follow(found, partial(self.card, kind), name, digest)
        for name, digest in origin.get("stores", {}).get("components", {}).items():
            self.follow(found, self.components, name, digest)
        for name, digest in origin.get("maps", {}).items():
            self.follow(found, partial(self.features, folder="concepts/maps"), name, digest)
        for name, about in origin["networks"].items():
            self.follow(found, self.network, name, about["digest"])
        return found

    def other(self, name: str) -> Link:
        """Check a table that this one was collected from; ``kc explain`` follows it further."""
        path = self.results / "tables" / f"{name}.json"
        found = self.new("tables", path)
        if path.is_file():
            found.digest = file_digest(path)
            found.told = found.digest[:8]
        else:
            found.fault("missing", f"{path.name} is not there")
        return found

    def fit(self, name: str) -> Link:
        path = self.results / "fits" / name / "card.json"
        found, card = self.product("fits", path)
        if card is not None:
            for end in ("source", "target"):
                self.follow(found, self.features, card[end]["network"], card[end]["digest"])
        return found

    def components(self, name: str) -> Link:
        found, store = self.store("components", self.results / "components" / f"{name}.json")
        fit_key = self.origin["fits"][name]["key"]
        if store is not None and store.attributes["fit_key"] != fit_key:
            found.fault("stale", "made from another fit than the table")
        return found

    def features(self, name: str, folder: str = "activations") -> Link:
        path = self.results / folder / f"{name}.json"
        found, store = self.store(path.parent.name, path)
        if store is not None:
            about = store.attributes
            self.follow(found, self.network, about["network"], about["weights"])
        return found

    def network(self, name: str) -> Link:
        folder = "concepts/networks" if self.origin["study"] == "concepts" else "networks"
        found, card = self.product("networks", self.results / folder / name / "card.json")
        if card is not None:
            self.follow(found, self.images, card["dataset"], card["image_store"])
            if "origin_digest" in card:
                self.follow(found, self.network, card["origin"], card["origin_digest"])
            if "pretrained" in card:
                file, digest = card["pretrained"]["file"], card["pretrained"]["digest"]
                what = f"pretrained weights {file}"
                found.links.append(self.source(what, [Path(file)], digest))
        return found

    def images(self, name: str) -> Link:
        found, store = self.store("images", self.results / "images" / f"{name}.json")
        if store is not None:
            source = store.attributes.get("source", {})
            for part, digest in source.get("parts", {}).items():
                self.follow(found, self.images, part, digest)
            if "generated" in source:
                found.links.append(self._generated(name, source["generated"]))
            if "archive" in source:
                found.links.append(self._archive(name, source["archive"]))
        return found

    def _generated(self, name: str, made: Mapping[str, Any]) -> Link:
        told = ", ".join(f"{key} {value}" for key, value in made.items())
        link = Link("images", f"generated pictures of {name}", told=told)
        if (wanted := self.origin["settings"]["datasets"][name]["generated"]) != made:
            differ = [key for key in {**made, **wanted} if made.get(key) != wanted.get(key)]
            link.fault("stale", f"the table's settings ask for another {', '.join(differ)}")
            link.target = self.target(self.results / "images" / f"{name}.json")
        return link

    def _archive(self, name: str, digest: str) -> Link:
        from kc.settings.load import load_settings

        path = load_settings(self.origin["settings"]).archive_of(name)
        assert path is not None, "a store made from an archive"
        link = self.source(f"archive {path}", [path], digest, self.results / FOLDER)
        if link.state == "changed":
            link.target = self.target(self.results / "images" / f"{name}.json")
        return link

    def target(self, path: Path) -> str:
        """Return the path of a product as the workflow names it."""
        return str(Path(self.origin["settings"]["results"]) / path.relative_to(self.results))


class _OfComparison(Walk):
    """The chain of a table of ``kc compare``."""

    def table(self, table: Path) -> Link:
        origin = self.origin
        is_pair = isinstance(origin["fits"], list)
        found = self.of_table(
            table,
            " and ".join(about["name"] for about in origin["networks"].values()),
            code_hash(f"kc.comparison.{'compare' if is_pair else 'matrix'}"),
        )
        fits = (
            {card["fit"]: card["digest"] for card in origin["fits"]} if is_pair else origin["fits"]
        )
        for name, digest in fits.items():
            self.follow(found, partial(self.card, "fits"), name, digest)
        for letter, about in origin["networks"].items():
            self.follow(found, self.activations, letter, about["activations"])
        for kind in ("ladder", "peers", "classes"):
            for folder in sorted(self.results.glob(f"{kind}/*/")):
                found.links.append(self.card(kind, folder.name))
        for name in fits:
            manifest = self.results / "components" / f"{name}.json"
            if manifest.exists() or manifest.with_suffix(".zarr").exists():
                found.links.append(self.store("components", manifest)[0])
        return found

    def activations(self, letter: str) -> Link:
        found, store = self.brought("activations", self.results / "activations" / f"{letter}.json")
        if store is not None and "images" in store.attributes:
            name = store.attributes.get("pictures", "pictures")
            self.follow(found, self.pictures, name, store.attributes["images"])
        return found

    def pictures(self, name: str) -> Link:
        return self.brought("images", self.results / f"{name}.json")[0]

    def brought(self, stage: str, path: Path) -> tuple[Link, Store | None]:
        found, store = self.store(stage, path)
        if store is not None and (about := store.manifest.get("source")):
            paths = [Path(file) for file in about["paths"]]
            found.links.append(self.source(spell(paths), paths, about["digest"]))
        return found, store
