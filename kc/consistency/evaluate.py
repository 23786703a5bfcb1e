"""Compute the variances of all parts by subset, and store components, in one pass over images."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kc.consistency.component_store import Kept
from kc.consistency.data import FeaturePair
from kc.consistency.decompose import decompose, stacked
from kc.consistency.order import Rows
from kc.consistency.result import FitResult
from kc.consistency.saved import VARIANCES
from kc.consistency.variance import Moments, channel_frame, series
from kc.store.files import write_bytes_atomic

BLOCK = 256


def evaluate(
    result: FitResult, pair: FeaturePair, subsets: Mapping[str, Rows], kept: Kept | None
) -> dict[str, Moments]:
    """Return the moments of each subset's parts, and store the components to keep, in one pass.

    Parts are checked in float32 before a shard is written.
    """
    found = {name: Moments() for name in subsets}
    result.net.eval()
    with nullcontext() if kept is None else kept.writer() as writer:
        missing = [] if writer is None else writer.missing()
        for shard, rows in _passes(subsets, kept, missing):
            components = _pass(result, pair, rows, subsets, found)
            if kept is not None and writer is not None and shard in missing:
                writer.write(shard, {"component": components.to(torch.float16).numpy()})
        if writer is not None:
            writer.finish()
    return found


def write_variances(found: Mapping[str, Moments], result: FitResult, folder: Path) -> list[str]:
    """Write ``variances.csv`` (both centrings) and the variances by channel; return the file names.

    ``variance`` is about the means that the fit subtracts.
    """
    overall, channels = [], []
    order, centring = result.net.order, result.about.centring
    for name, moments in found.items():
        columns = {
            "variance": series(moments.variance(centring), order),
            "variance_released_centring": series(moments.channel_variance.mean(1), order),
        }
        frame = pd.DataFrame(columns).rename_axis("component").reset_index()
        frame.insert(0, "subset", name)
        overall.append(frame)
        channel = channel_frame(moments.channel_variance, order)
        channel.insert(0, "subset", name)
        channels.append(channel)
    frames = dict(zip(VARIANCES, (overall, channels), strict=True))
    for file, parts in frames.items():
        write_bytes_atomic(folder / file, pd.concat(parts).to_csv(index=False).encode())
    return list(frames)


def _pass(
    result: FitResult,
    pair: FeaturePair,
    rows: Rows,
    subsets: Mapping[str, Rows],
    found: Mapping[str, Moments],
) -> Tensor:
    """Decompose some rows and add them to their subsets; return x0..xK and xdelta on the CPU."""
    pieces, begun = [], 0
    for x, y in pair.in_order(rows):
        block = stacked(decompose(result.net, result.normalisation, x, y), y)
        here = rows[begun : begun + len(y)]
        begun += len(y)
        for name, members in subsets.items():
            inside = torch.from_numpy(np.isin(here, members)).to(y.device)
            if bool(inside.any()):
                found[name].add(block[:, inside], result.net.channel_axis)
        pieces.append(block[:-1].cpu())
    return torch.cat(pieces, dim=1)


def _passes(
    subsets: Mapping[str, Rows], kept: Kept | None, missing: list[int]
) -> Iterator[tuple[int | None, Rows]]:
    """Split the rows into blocks: first the shards of the kept store, then all other rows.

    A shard that is already stored is included only if its variances are needed.
    """
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *subsets.values()]))
    done = np.zeros(0, np.int64)
    for shard, rows in [] if kept is None else kept.shards():
        done = np.concatenate([done, rows])
        if shard in missing or np.isin(rows, wanted).any():
            yield shard, rows
    rest = np.setdiff1d(wanted, done)
    for begun in range(0, len(rest), BLOCK):
        yield None, rest[begun : begun + BLOCK]
