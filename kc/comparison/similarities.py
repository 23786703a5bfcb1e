"""Compute and keep similarity measures of the layers of a comparison."""

import math
import time
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

from kc.comparison.workplace import Direction, Workplace
from kc.images.rows import rows_in
from kc.progress import progress_bar
from kc.provenance import product_key
from kc.similarity.measures import NAMES, Measuring, similarities
from kc.similarity.minibatch import cka_matrix
from kc.store import Store
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

WIDTH = 1024
"""Most units of a flattened feature: for wider ones, the linear map and CCA take longer than g,
and there are too few images."""
MINIBATCH = 256
SIMILARITIES, CKA = "peers.csv", "cka.csv"


def measures_of(of: Direction, at: Workplace) -> "pd.Series[float]":
    """Return :func:`kc.similarity.measures.similarities` of one direction, on test images.

    A result with the same key is not computed again.
    """
    settings = at.settings.consistency
    about = (WIDTH, settings.kernel_size, settings.centring)
    key = product_key(about, of.inputs, "kc.similarity.measures", "kc.comparison.similarities")
    with Product(at.out / "peers" / of.name, key, [SIMILARITIES]) as product:
        if not product.is_done():
            begun = time.monotonic()
            product.start()
            how = Measuring(
                width=WIDTH,
                kernel_size=settings.kernel_size,
                block_rows=of.source.shard_rows,
                memory_gb=settings.memory_gb,
                centring=settings.centring,
            )
            found = similarities(
                of.source,
                of.target,
                rows_in(of.target.rows, "train"),
                rows_in(of.target.rows, "test"),
                device=at.device,
                how=how,
            )
            content = found.rename_axis("measure").to_csv().encode()
            write_bytes_atomic(product.folder / SIMILARITIES, content)
            seconds = round(time.monotonic() - begun, 2)
            product.finish({"seconds": seconds, "device": str(at.device)}, [SIMILARITIES])
    values = pd.read_csv(product.folder / SIMILARITIES, index_col="measure")["similarity"]
    return values.rename_axis(None).reindex(list(NAMES))


def cka_of_all(
    first: Store,
    second: Store,
    names: tuple[list[str], list[str]],
    at: Workplace,
) -> pd.DataFrame:
    """Return minibatch CKA of every layer of one store with every layer of another, test images.

    Each layer is read once, flattened, in its stored form: CKA needs no common form. Rows of the
    result are the first store's layers.
    """
    inputs = {"first": first.digest, "second": second.digest}
    key = product_key(names, inputs, "kc.comparison.similarities")
    with Product(at.out / "peers" / "matrix", key, [CKA]) as product:
        if not product.is_done():
            product.start()
            found = cka_matrix(_batches(first, second, names, at.device))
            frame = pd.DataFrame(found.numpy(), index=names[0], columns=names[1])
            write_bytes_atomic(product.folder / CKA, frame.to_csv().encode())
            product.finish({"device": str(at.device)}, [CKA])
    return pd.read_csv(product.folder / CKA, index_col=0)


def _batches(
    first: Store, second: Store, names: tuple[list[str], list[str]], device: torch.device
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    rows = rows_in(first.rows, "test")
    # fewer than four remaining rows have no unbiased estimate: they join the last batch
    count = max(1, math.ceil((len(rows) - 3) / MINIBATCH))
    edges = list(pairwise([*(MINIBATCH * k for k in range(count)), len(rows)]))
    arrays = [[first[name] for name in names[0]], [second[name] for name in names[1]]]
    for start, stop in progress_bar(edges, desc="CKA", unit="batch"):
        of_first, of_second = (
            [torch.from_numpy(array[rows[start:stop]]).to(device) for array in some]
            for some in arrays
        )
        yield of_first, of_second
