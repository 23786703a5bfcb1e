"""Read every source again and hold it against what was made of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.files.sources import digest_of, spell
from kc.store.files import read_json


def moved_sources(path: Path) -> list[str]:
    """Name the sources of products that are gone, or no longer what the products were made of.

    Every byte is read; no time of change and no record is trusted.

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
                state = "no longer what it was made of" if now else "not there now"
                found.append(
                    f"{file}: made of {spell(paths)}, which is {state} ({digest[:8]}, found "
                    f"{now[:8] or 'nothing'}). Fix: put it back; or run what made this again, "
                    "which makes anew all that depends on it."
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
