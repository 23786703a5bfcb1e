"""Compare every source with the digest it had when products were made from it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.sources import digest_of, spell
from kc.store.files import read_json


def moved_sources(path: Path) -> list[str]:
    """Return one line per source that is missing, or changed since products were made from it.

    Every byte is read; times of change and records are not used.

    Parameters
    ----------
    path
        A manifest, a card, ``NAME.zarr``, or a folder with any of them below it.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() and path.suffix != ".zarr" else []
    seen: dict[tuple[Path, ...], str] = {}
    found = []
    for file in files or [path.with_suffix(".json")]:
        for paths, digest in _sources(file):
            now = seen.setdefault(paths, digest_of(paths))
            if now != digest:
                state = "has changed" if now else "is missing"
                found.append(
                    f"{file}: made from {spell(paths)}, which {state} (expected {digest[:8]}, "
                    f"found {now[:8] or 'nothing'}). Fix: restore it; or run the command that made "
                    "this again, which also makes all that depends on it again."
                )
    return found


def _sources(file: Path) -> Iterator[tuple[tuple[Path, ...], str]]:
    try:
        about: Any = read_json(file)
    except StoreError:
        return
    if not isinstance(about, dict):
        return
    source, pretrained = about.get("source"), about.get("pretrained")
    if "shard_rows" in about and isinstance(source, dict):
        yield tuple(Path(each) for each in source["paths"]), str(source["digest"])
    if "files" in about and isinstance(pretrained, dict):
        yield (Path(pretrained["file"]),), str(pretrained["digest"])
