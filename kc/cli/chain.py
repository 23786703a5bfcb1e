"""The chain from a table back to the images, each link compared with what lies on disk now."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from kc.cli.link import Link
from kc.errors import StoreError
from kc.plans.commands import fix_at, remake
from kc.provenance import code_hash
from kc.store import Store, open_store
from kc.store.files import file_digest, read_json, read_signed
from kc.store.product import damaged_files


def chain(table: Path, quick: bool = False) -> Link:
    """Follow a table written by the workflow back to its images.

    Parameters
    ----------
    table
        Any file of the table (``results/tables/NAME.csv``, ``.md``, ``.tex``, ``.json``).
    quick
        Compare digests that cards and manifests hold, without reading stores and weights again.

    Raises
    ------
    StoreError
        The table is not there, or was not written by the workflow.
    """
    origin = read_origin(table)
    return _Walk(table.parent.parent, origin, quick).table(table)


def read_origin(table: Path) -> dict[str, Any]:
    """Read what a table says it was made from.

    Raises
    ------
    StoreError
        As :func:`chain`.
    """
    file = table.with_suffix(".json")
    if not file.is_file():
        raise StoreError(
            f"{file}: no such file; it holds what a table was made from. Cure: name a table of the "
            "workflow, e.g. results/tables/table1.csv, or have it made: "
            f"{fix_at(table, remake(table))}"
        )
    origin = read_json(file)
    needed = {"study", "settings", "code", "networks", "files"}
    if not isinstance(origin, dict) or not needed <= set(origin):
        raise StoreError(
            f"{file}: says nothing of {', '.join(sorted(needed - set(origin)))}, so it is no table "
            "of the workflow, or was written by an older kc. Cure: have it made again: "
            f"{fix_at(table, remake(table))}"
        )
    return origin


class _Walk:
    """One pass over a chain; every product is looked at once."""

    def __init__(self, results: Path, origin: Mapping[str, Any], quick: bool) -> None:
        self.results, self.origin, self.quick = results, origin, quick
        self.known: dict[Path, Link] = {}

    def table(self, table: Path) -> Link:
        origin, found = self.origin, self._new("tables", table.with_suffix(".csv"))
        found.told = f"study {origin['study']}, code {origin['code']}"
        for suffix, digest in origin["files"].items():
            file = table.with_suffix(suffix)
            if not file.is_file():
                found.fault("missing", f"{file.name} is not there")
            elif file_digest(file) != digest:
                found.fault("changed", f"{file.name} is not the file that was written")
        now = code_hash(f"kc.studies.{origin['study']}")
        if now != origin["code"]:
            found.fault("stale", f"made by code {origin['code']}, kc is {now} now")
        for name, about in origin.get("fits", {}).items():
            self._follow(found, self.fit, name, about["digest"])
        for kind, some in origin.get("beside", {}).items():
            for name, digest in some.items():
                self._follow(found, partial(self.beside, kind), name, digest)
        for name, digest in origin.get("stores", {}).get("components", {}).items():
            self._follow(found, self.components, name, digest)
        for name, digest in origin.get("maps", {}).items():
            self._follow(found, self.maps, name, digest)
        for name, about in origin["networks"].items():
            self._follow(found, self.network, name, about["digest"])
        return found

    def fit(self, name: str) -> Link:
        path = self.results / "fits" / name / "card.json"
        found, card = self._product("fits", path)
        if card is not None:
            for end in ("source", "target"):
                self._follow(found, self.activations, card[end]["network"], card[end]["digest"])
        return found

    def beside(self, kind: str, name: str) -> Link:
        """Look at what is measured beside a fit: its ladder, its repeats."""
        return self._product(kind, self.results / kind / name / "card.json")[0]

    def components(self, name: str) -> Link:
        found, store = self._store("components", self.results / "components" / f"{name}.json")
        fit_key = self.origin["fits"][name]["key"]
        if store is not None and store.attributes["fit_key"] != fit_key:
            found.fault("stale", "of another fit than the one behind the table")
        return found

    def activations(self, name: str) -> Link:
        found, store = self._store("activations", self.results / "activations" / f"{name}.json")
        if store is not None:
            about = store.attributes
            self._follow(found, self.network, about["network"], about["weights"])
        return found

    def maps(self, name: str) -> Link:
        path = self.results / "concepts" / "maps" / f"{name}.json"
        found, store = self._store("maps", path)
        if store is not None:
            about = store.attributes
            self._follow(found, self.network, about["network"], about["weights"])
        return found

    def network(self, name: str) -> Link:
        folder = "concepts/networks" if self.origin["study"] == "concepts" else "networks"
        found, card = self._product("networks", self.results / folder / name / "card.json")
        if card is not None:
            self._follow(found, self.images, card["dataset"], card["image_store"])
            if "origin_digest" in card:
                self._follow(found, self.network, card["origin"], card["origin_digest"])
            if "pretrained" in card:
                found.links.append(_file(card["pretrained"]["file"], card["pretrained"]["digest"]))
        return found

    def images(self, name: str) -> Link:
        found, store = self._store("images", self.results / "images" / f"{name}.json")
        if store is not None:
            source = store.attributes.get("source", {})
            for part, digest in source.get("parts", {}).items():
                self._follow(found, self.images, part, digest)
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
            link.target = self._target(self.results / "images" / f"{name}.json")
        return link

    def _archive(self, name: str, digest: str) -> Link:
        from kc.files.sources import FOLDER, digest_of
        from kc.settings.load import load_settings

        path = load_settings(self.origin["settings"]).archive_of(name)
        assert path is not None, "a store made from an archive"
        link = Link("images", f"archive {path}", told=digest)
        if not path.exists():
            link.fault("missing", "it is not there now; results stay, they cannot be made again")
        elif not self.quick and digest_of([path], self.results / FOLDER) != digest:
            link.fault("changed", "it is not the archive the images were read from")
            link.target = self._target(self.results / "images" / f"{name}.json")
        return link

    def _follow(self, above: Link, look: Callable[[str], Link], name: str, recorded: str) -> None:
        """Add a product ``above`` was made from, and compare the digest recorded there."""
        link = look(name)
        above.links.append(link)
        if recorded and link.digest and link.digest != recorded:
            what = f"{link.stage} {name}"
            now = f"{recorded[:8]}, which is {link.digest[:8]} now"
            above.fault("stale", f"made from {what} {now}")

    def _product(self, stage: str, path: Path) -> tuple[Link, dict[str, Any] | None]:
        """Look at a folder with a card; no card where it was looked at before, or is not there."""
        if path in self.known:
            return self._again(path), None
        found = self._new(stage, path)
        try:
            card = read_signed(path)
            damaged = [] if self.quick else damaged_files(path.parent, card)
        except (StoreError, KeyError) as error:
            found.fault("changed" if path.is_file() else "missing", str(error))
            return found, None
        if damaged:
            found.fault("changed", f"{', '.join(damaged)} missing or not as written")
        found.told = found.told or f"{card['digest'][:8]}, {card.get('device', '')}".rstrip(", ")
        found.digest = card["digest"]
        return found, card

    def _store(self, stage: str, path: Path) -> tuple[Link, Store | None]:
        """Look at a store; none where it was looked at before, or cannot be opened."""
        if path in self.known:
            return self._again(path), None
        found = self._new(stage, path)
        try:
            store = open_store(path)
            damages = [] if self.quick else store.verify()
        except StoreError as error:
            found.fault("changed" if path.is_file() else "missing", str(error))
            return found, None
        if damages:
            more = f", and {len(damages) - 1} more" if len(damages) > 1 else ""
            found.fault("changed", damages[0] + more)
        found.told = found.told or f"{store.digest[:8]}, {len(store.rows)} rows"
        found.digest = store.digest
        return found, store

    def _new(self, stage: str, path: Path) -> Link:
        name = path.parent.name if path.name == "card.json" else path.stem
        found = Link(stage, name, target=self._target(path))
        self.known[path] = found
        return found

    def _again(self, path: Path) -> Link:
        return replace(self.known[path], links=[], shown_above=True)

    def _target(self, path: Path) -> str:
        """Spell a product as the workflow does, whatever folder the results are seen in from."""
        return str(Path(self.origin["settings"]["results"]) / path.relative_to(self.results))


def _file(path: str, digest: str) -> Link:
    link = Link("images", f"pretrained weights {path}", told=digest[:8])
    if not Path(path).is_file():
        link.fault("missing", "not there now")
    elif file_digest(Path(path)) != digest:
        link.fault("changed", "not the file the network started from")
    return link
