"""Arrays of zarr that kc did not write: judged, opened, named, read; no digest guards them."""

import json
import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from kc.errors import StoreError

DESCRIPTIONS = ("zarr.json", ".zarray")
"""Files that describe an array, of zarr 3 and 2."""
NUMERIC = frozenset(
    {
        *("adler32", "astype", "base64", "bitround", "blosc", "bytes", "bz2", "cast_value"),
        *("crc32", "crc32c", "delta", "endian", "fixedscaleoffset", "fletcher32", "gzip"),
        *("jenkins_lookup3", "lz4", "lzma", "packbits", "pcodec", "quantize", "scale_offset"),
        *("sharding_indexed", "shuffle", "transpose", "zfpy", "zlib", "zstd"),
    }
)
"""Codecs from bytes to numbers, which decode and do nothing else."""
TEXTS = frozenset({"categorize", "json2", "msgpack2", "vlen-array", "vlen-bytes", "vlen-utf8"})
"""Codecs of arrays that are no features: these may lie beside, and are not read."""


def open_foreign(path: Path) -> dict[str, Any]:
    """Open a zarr array, or all arrays of a zarr group, by path; an array is called by its file.

    Each has ``shape``, ``dtype``, slices, and ``oindex`` for rows in any order.

    Raises
    ------
    StoreError
        No zarr there, or not one this zarr reads; a codec that could run code (``pickle``), or is
        not known; a link that leads out of the folder, or what is neither file nor folder.
    """
    if path.is_file():
        raise StoreError(f"{path}: a file, expected the folder of a zarr. Fix: unpack it.")
    try:
        for file in _descriptions(path):
            _judge(path, file)
        # a group's own list of what its arrays are (consolidated) was not judged
        found = zarr.open(path, mode="r", use_consolidated=False)
        if isinstance(found, zarr.Array):
            return {path.stem: found}
        members = found.members(max_depth=None)
        return {name: member for name, member in members if isinstance(member, zarr.Array)}
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            f"{path}: not readable as zarr ({type(error).__name__}: {error}). Fix: mend the path, "
            "or write it with zarr 2 or 3."
        ) from error


def chunks_missing(array: Any) -> tuple[int, int]:
    """Count the stored chunks (or shards) of an array that are missing, and all there should be.

    What is missing reads as the fill value. A writer may leave out chunks that hold nothing else;
    nothing tells these from lost ones.
    """
    if not isinstance(array, zarr.Array):
        return 0, 0
    stored = array.shards or array.chunks
    whole = prod(-(-side // part) for side, part in zip(array.shape, stored, strict=True))
    # zarr counts the chunks of each shard that is there
    each = prod(part // side for part, side in zip(stored, array.chunks, strict=True))
    return whole - int(array.nchunks_initialized) // each, whole


def _descriptions(root: Path) -> Iterator[Path]:
    """List the descriptions of arrays, having looked at everything in the folder."""
    real = root.resolve()
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink() and not path.resolve().is_relative_to(real):
                    raise StoreError(
                        f"{path}: a link out of the folder, to {path.resolve()}; refused: that "
                        "file would be read as numbers. Fix: copy it to where the link is."
                    )
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif not entry.is_symlink() and not entry.is_file():
                    raise StoreError(f"{path}: neither a file nor a folder. Fix: rm it.")
                elif entry.name in DESCRIPTIONS:
                    yield path


def _judge(root: Path, file: Path) -> None:
    """Refuse an array with a codec that does more than decode numbers, before it is opened."""
    described = json.loads(file.read_bytes())
    allowed = NUMERIC if _is_numbers(described) else NUMERIC | TEXTS
    wrong = sorted(set(_codecs(described)) - allowed)
    if wrong:
        raise StoreError(
            f"{root}: the codec '{wrong[0]}' of '{file.relative_to(root)}' is none of numbers; "
            "refused: it could run code when it is read. Fix: write the array anew with codecs "
            f"of zarr's own (bytes, zstd, blosc, ...), or leave it out of {root.name}."
        )


def _is_numbers(described: dict[str, Any]) -> bool:
    """Return whether it is an array of numbers, by its type of zarr 3 (a word) or 2 (numpy's)."""
    name = described.get("data_type", described.get("dtype"))
    try:
        return np.dtype(name).kind in "biufc"
    except (TypeError, ValueError):
        return name == "bfloat16"


def _codecs(described: dict[str, Any]) -> Iterator[str]:
    """Name the codecs of an array, of zarr 3 or 2, and those within them."""
    ours = described.get("codecs") or []
    for codec in [*ours, described.get("compressor"), *(described.get("filters") or [])]:
        if not isinstance(codec, dict):
            named = [codec]
        else:
            # zarr reads one of these by the array's version: any of them could be the one
            inner = codec.get("configuration") or {}
            named = [codec.get("name"), codec.get("id"), inner.get("id")]
            yield from _codecs({"codecs": inner.get("codecs")})
            yield from _codecs({"codecs": inner.get("index_codecs")})
        yield from (str(name).removeprefix("numcodecs.") for name in named if name is not None)
