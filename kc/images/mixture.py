"""Mixtures: the image stores of several data sets copied into one, every image once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from kc.errors import ImageError
from kc.images import build
from kc.store import Store, StoredArray, StoreWriter


class _Origin(NamedTuple):
    """Where a row of the mixture comes from."""

    part: str
    row: int


def build_mixture_store(
    parts: Mapping[str, Store], seed: int, out: Path, key: str, mend: str = ""
) -> dict[str, Any]:
    """Write the store of a mixture, going on where an earlier attempt under ``key`` stopped.

    Labels follow each other in the order of the parts, an id becomes ``PART/ID``, and rows are
    put into one fixed random order, as every image store's are. One shard is held at a time.

    Parameters
    ----------
    parts
        Two or more image stores by name, of one picture size.
    seed
        Of the order of the rows.
    out, key, mend
        As of :func:`kc.images.build.build_image_store`.

    Returns
    -------
    dict
        The manifest. Arrays and coordinates are those of an image store; ``foreground`` is there
        where all parts have it, else ``has_foreground`` is False throughout.

    Raises
    ------
    ImageError
        The parts' pictures differ in size.
    """
    size = _common_size(parts)
    masked = all("foreground" in store for store in parts.values())
    rows, origins = _mixed_rows(parts, seed, masked)
    attributes = {"layout": "mixture", "parts": list(parts), "classes": build.class_names(rows)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with StoreWriter(
        out,
        key,
        build.image_arrays(len(rows), size, masked),
        rows,
        build.SHARD_ROWS,
        attributes=attributes,
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
            "Cure: give the parts the same datasets.NAME.size"
        )
    return next(iter(sizes.values()))


def _mixed_rows(
    parts: Mapping[str, Store], seed: int, masked: bool
) -> tuple[pd.DataFrame, list[_Origin]]:
    frames = []
    origins: list[_Origin] = []
    offset = 0
    for name, store in parts.items():
        frame = store.rows.copy()
        frame["image_id"] = f"{name}/" + frame["image_id"].astype(str)
        frame["label"] += offset
        frame["has_foreground"] &= masked
        offset = int(frame["label"].max()) + 1
        frames.append(frame)
        origins += [_Origin(name, row) for row in range(len(frame))]
    together = pd.concat(frames, ignore_index=True)
    order = build.row_order(together["image_id"].tolist(), seed)
    return together.iloc[order].reset_index(drop=True), [origins[index] for index in order]


def _write_shards(
    writer: StoreWriter, parts: Mapping[str, Store], origins: Sequence[_Origin]
) -> None:
    # opened once: a stored array checks each of its shards the first time it is read
    arrays = {name: {part: parts[part][name] for part in parts} for name in writer.arrays}
    missing = writer.missing()
    total = sum(len(origins[writer.rows(shard)]) for shard in missing)
    with tqdm(total=total, desc="mixing", unit="image", disable=None, delay=10) as bar:
        for shard in missing:
            here = origins[writer.rows(shard)]
            writer.write(shard, {name: _gather(arrays[name], here) for name in arrays})
            bar.update(len(here))


def _gather(arrays: Mapping[str, StoredArray], origins: Sequence[_Origin]) -> NDArray[Any]:
    """Read rows one by one: a shard of the mixture is scattered over all shards of the parts."""
    return np.stack([arrays[origin.part][origin.row] for origin in origins])
