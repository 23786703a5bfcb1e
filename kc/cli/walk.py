"""Check products on disk, each once: what the chains of all tables have in common."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kc.cli.link import Link
from kc.errors import StoreError
from kc.files.sources import digest_of
from kc.store import Store, open_store
from kc.store.files import file_digest, read_signed
from kc.store.product import damaged_files


class Walk:
    """Check of one chain.

    Parameters
    ----------
    results
        Folder of the products.
    origin
        The table's ``.json``.
    quick
        Compare recorded digests, without reading stores and weights again.
    """

    def __init__(self, results: Path, origin: Mapping[str, Any], quick: bool) -> None:
        self.results, self.origin, self.quick = results, origin, quick
        self.known: dict[Path, Link] = {}

    def of_table(self, table: Path, what: str, code: str) -> Link:
        """Check a table's files; ``code``: the hash of the code that would make it now."""
        origin, found = self.origin, self.new("tables", table.with_suffix(".csv"))
        found.told = f"{what}, code {origin['code']}"
        for suffix, digest in origin["files"].items():
            file = table.with_suffix(suffix)
            if not file.is_file():
                found.fault("missing", f"{file.name} is not there")
            elif file_digest(file) != digest:
                found.fault("changed", f"{file.name} is not the file that was written")
        if code != origin["code"]:
            found.fault("stale", f"made by code {origin['code']}, kc is {code} now")
        return found

    def card(self, kind: str, name: str) -> Link:
        """Check a product that ends its chain: a ladder, repeats, similarity measures."""
        return self.product(kind, self.results / kind / name / "card.json")[0]

    def source(
        self, name: str, paths: list[Path], recorded: str, records: Path | None = None
    ) -> Link:
        """Compare files of the user with the digest they had when they were read."""
        link = Link("images", name, told=recorded[:8])
        if not all(path.exists() for path in paths):
            link.fault("missing", "not there now; the results remain, but cannot be made again")
        elif not self.quick and digest_of(paths, records) != recorded:
            link.fault("changed", "not what was read")
        return link

    def target(self, path: Path) -> str:  # noqa: ARG002
        """Return the path by which the workflow makes a product again; empty without workflow."""
        return ""

    def new(self, stage: str, path: Path) -> Link:
        """Return a new link for a product; if it was seen before, one that is shown above."""
        if path in self.known:
            return replace(self.known[path], links=[], shown_above=True)
        name = path.parent.name if path.name == "card.json" else path.stem
        found = Link(stage, name, target=self.target(path))
        self.known[path] = found
        return found

    def follow(self, above: Link, look: Callable[[str], Link], name: str, recorded: str) -> None:
        """Add a product that ``above`` was made from, and compare the recorded digest."""
        link = look(name)
        above.links.append(link)
        if recorded and link.digest and link.digest != recorded:
            what = f"{link.stage} {name}"
            now = f"{recorded[:8]}, which is {link.digest[:8]} now"
            above.fault("stale", f"made from {what} {now}")

    def product(self, stage: str, path: Path) -> tuple[Link, dict[str, Any] | None]:
        """Check a folder with a card; return no card if it was seen before or is missing."""
        found = self.new(stage, path)
        if found.shown_above:
            return found, None
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

    def store(self, stage: str, path: Path) -> tuple[Link, Store | None]:
        """Check a store; return none if it was seen before or cannot be opened."""
        found = self.new(stage, path)
        if found.shown_above:
            return found, None
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
