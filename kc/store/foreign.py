"""Open zarr arrays that kc did not write, after checking that their codecs run no code."""

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
"""Codecs of numbers that only decode."""
TEXTS = frozenset({"categorize", "json2", "msgpack2", "vlen-array", "vlen-bytes", "vlen-utf8"})
"""Codecs of text arrays: these may be in the folder, and are not read."""


def open_foreign(path: Path) -> dict[str, Any]:
    """Open a zarr array, or all arrays of a zarr group; return them by path in it.

    A single array is named by its file. Each array has ``shape``, ``dtype``, slices, and
    ``oindex`` for rows in any order.

    Raises
    ------
    StoreError
        There is no zarr, or none that this version reads; a codec that could run code (``pickle``)
        or is unknown; a link out of the folder, or what is neither file nor folder.
    """
    if path.is_file():
        raise StoreError(f"{path}: a file, expected the folder of a zarr. Fix: unpack it.")
    try:
        for file in _descriptions(path):
            _judge(path, file)
        # the consolidated metadata of a group was not checked
        found = zarr.open(path, mode="r", use_consolidated=False)
        if isinstance(found, zarr.Array):
            return {path.stem: found}
        members = found.members(max_depth=None)
        return {name: member for name, member in members if isinstance(member, zarr.Array)}
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(
            f"{path}: not readable as zarr ({type(error).__name__}: {error}). Fix: correct the "
            "path, or write it with zarr 2 or 3."
        ) from error


def chunks_missing(array: Any) -> tuple[int, int]:
    """Count the stored chunks (or shards) of an array that are missing, and all there should be.

    A missing chunk is read as the fill value. A writer may leave out chunks that hold nothing
    else; these cannot be distinguished from lost ones.
    """
    if not isinstance(array, zarr.Array):
        return 0, 0
    stored = array.shards or array.chunks
    whole = prod(-(-side // part) for side, part in zip(array.shape, stored, strict=True))
    # zarr counts the chunks of each existing shard
    each = prod(part // side for part, side in zip(stored, array.chunks, strict=True))
    return whole - int(array.nchunks_initialized) // each, whole


def _descriptions(root: Path) -> Iterator[Path]:
    """List the descriptions of arrays; refuse links out of the folder and special files."""
    real = root.resolve()
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_symlink() and not path.resolve().is_relative_to(real):
                    raise StoreError(
                        f"{path}: a link out of the folder, to {path.resolve()}; refused: that "
                        "file would be read as numbers. Fix: replace the link by a copy."
                    )
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif not entry.is_symlink() and not entry.is_file():
                    raise StoreError(f"{path}: neither a file nor a folder. Fix: rm it.")
                elif entry.name in DESCRIPTIONS:
                    yield path


def _judge(root: Path, file: Path) -> None:
    """Refuse an array whose codecs do more than decode numbers, before it is opened."""
    described = json.loads(file.read_bytes())
    allowed = NUMERIC if _is_numbers(described) else NUMERIC | TEXTS
    wrong = sorted(set(_codecs(described)) - allowed)
    if wrong:
        raise StoreError(
            f"{root}: the codec '{wrong[0]}' of '{file.relative_to(root)}' is not one for numbers; "
            "refused: it could run code when it is read. Fix: write the array again with codecs "
            f"of zarr itself (bytes, zstd, blosc, ...), or leave it out of {root.name}."
        )


def _is_numbers(described: dict[str, Any]) -> bool:
    """Return whether it is an array of numbers, by its type in zarr 3 (a word) or 2 (numpy's)."""
    name = described.get("data_type", described.get("dtype"))
    try:
        return np.dtype(name).kind in "biufc"
    except (TypeError, ValueError):
        return name == "bfloat16"


def _codecs(described: dict[str, Any]) -> Iterator[str]:
    """Return the codecs of an array of zarr 3 or 2, nested ones too."""
    ours = described.get("codecs") or []
    for codec in [*ours, described.get("compressor"), *(described.get("filters") or [])]:
        if not isinstance(codec, dict):
            named = [codec]
        else:
            # which of these zarr reads depends on the array's version
            inner = codec.get("configuration") or {}
            named = [codec.get("name"), codec.get("id"), inner.get("id")]
            yield from _codecs({"codecs": inner.get("codecs")})
            yield from _codecs({"codecs": inner.get("index_codecs")})
        yield from (str(name).removeprefix("numcodecs.") for name in named if name is not None)
