"""Mixtures: image stores of several data sets, copied into one store."""

from collections.abc import Mapping, Sequence
from itertools import batched
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kc.errors import ImageError
from kc.images import build
from kc.progress import progress_bar
from kc.store import ArraySpec, Store, StoreContent, StoredArray, StoreWriter

HELD = 512 << 20
"""Bytes of the mixture gathered at a time; each time all shards of the parts are read once."""


class _Origin(NamedTuple):
    """Part and row from which a row of the mixture is copied."""

    part: str
    row: int


def build_mixture_store(
    parts: Mapping[str, Store], seed: int, out: Path, key: str, mend: str = ""
) -> dict[str, Any]:
    """Write the store of a mixture, resuming an earlier attempt under ``key``.

    Labels are numbered on in the order of the parts, an id becomes ``PART/ID``, and rows are in a
    fixed random order, as in every image store. ``HELD`` bytes are held at a time; an interruption
    loses at most these.

    Parameters
    ----------
    parts
        Two or more image stores by name, with equal picture sizes.
    seed
        Seed of the order of the rows.
    out, key, mend
        As of :func:`kc.images.build.build_image_store`.

    Returns
    -------
    dict
        The manifest. Arrays and coordinates are those of an image store, with ``foreground`` if
        any part has it, all False for the images of the others.

    Raises
    ------
    ImageError
        The parts' pictures differ in size.
    """
    size = _common_size(parts)
    masked = any("foreground" in store for store in parts.values())
    rows, origins = _mixed_rows(parts, seed)
    attributes = {
        "layout": "mixture",
        "parts": list(parts),
        "classes": build.class_names(rows),
        "source": {"parts": {name: store.digest for name, store in parts.items()}},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(
        out,
        key,
        StoreContent(
            build.image_arrays(len(rows), size, masked),
            rows,
            build.SHARD_ROWS,
            attributes=attributes,
        ),
        mend=mend,
    ) as writer:
        _write_shards(writer, parts, origins)
        return writer.finish()


def _common_size(parts: Mapping[str, Store]) -> int:
    sizes = {name: store["image"].shape[-1] for name, store in parts.items()}
    if len(set(sizes.values())) > 1:
        spelled = ", ".join(f"{name} {size} px" for name, size in sizes.items())
        raise ImageError(
            f"a mixture needs pictures of one size, its parts have: {spelled}. "
            "Fix: set the same datasets.NAME.size for all"
        )
    return next(iter(sizes.values()))


def _mixed_rows(parts: Mapping[str, Store], seed: int) -> tuple[pd.DataFrame, list[_Origin]]:
    frames = []
    origins: list[_Origin] = []
    offset = 0
    for name, store in parts.items():
        frame = store.rows.copy()
        frame["image_id"] = f"{name}/" + frame["image_id"].astype(str)
        frame["label"] += offset
        offset = int(frame["label"].max()) + 1
        frames.append(frame)
        origins += [_Origin(name, row) for row in range(len(frame))]
    together = pd.concat(frames, ignore_index=True)
    order = build.row_order(together["image_id"].tolist(), seed)
    return together.iloc[order].reset_index(drop=True), [origins[index] for index in order]


def _write_shards(
    writer: StoreWriter, parts: Mapping[str, Store], origins: Sequence[_Origin]
) -> None:
    # opened once, because a stored array checks each of its shards at the first read
    arrays = {
        name: {part: store[name] for part, store in parts.items() if name in store}
        for name in writer.arrays
    }
    missing = writer.missing()
    specs = writer.arrays.values()
    bytes_per_row = sum(np.dtype(each.dtype).itemsize * prod(each.shape[1:]) for each in specs)
    together = max(HELD // (bytes_per_row * writer.content.shard_rows), 1)
    total = sum(len(origins[writer.rows(shard)]) for shard in missing)
    with progress_bar(total=total, desc="mixing", unit="image") as bar:
        for shards in batched(missing, together):
            here = [origin for shard in shards for origin in origins[writer.rows(shard)]]
            values = {spec.name: _gather(arrays[spec.name], here, spec) for spec in specs}
            start = 0
            for shard in shards:
                stop = start + len(origins[writer.rows(shard)])
                writer.write(shard, {name: values[name][start:stop] for name in values})
                start = stop
            bar.update(len(here))


def _gather(
    arrays: Mapping[str, StoredArray], origins: Sequence[_Origin], spec: ArraySpec
) -> NDArray[Any]:
    """Collect rows, reading each part's shards once; rows of parts without this array are 0."""
    values = np.zeros((len(origins), *spec.shape[1:]), dtype=spec.dtype)
    for part, array in arrays.items():
        places = [place for place, origin in enumerate(origins) if origin.part == part]
        if places:
            values[places] = array[np.array([origins[place].row for place in places])]
    return values
