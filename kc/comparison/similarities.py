"""The measures others use beside the share of x^Delta, from the same stores, once each."""

import math
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from kc.comparison.fits import digest_of
from kc.comparison.settings import CompareSettings
from kc.images.rows import rows_in
from kc.provenance import product_key
from kc.similarity.measures import NAMES, similarities
from kc.similarity.minibatch import cka_matrix
from kc.store import Store, StoredArray
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

WIDTH = 1024
"""Units a flattened feature may have: beyond, the best linear map and its kin take longer than g,
and images are too few for them."""
MINIBATCH = 256
PEERS, CKA = "peers.csv", "cka.csv"


def peers_of(
    name: str,
    source: StoredArray,
    target: StoredArray,
    settings: CompareSettings,
    out: Path,
    device: torch.device,
) -> "pd.Series[float]":
    """Give :func:`kc.similarity.measures.similarities` of one direction, measured on test images.

    What lies there under the same key is not measured again.
    """
    about = {
        "width": WIDTH,
        "kernel_size": settings.consistency.kernel_size,
    }
    inputs = {"source": digest_of(source), "target": digest_of(target)}
    key = product_key(about, inputs, "kc.similarity.measures", "kc.comparison.similarities")
    with Product(out / "peers" / name, key, [PEERS]) as product:
        if not product.is_done():
            begun = time.monotonic()
            product.start()
            found = similarities(
                source,
                target,
                rows_in(target.rows, "train"),
                rows_in(target.rows, "test"),
                device=device,
                width=WIDTH,
                kernel_size=settings.consistency.kernel_size,
                block_rows=source.shard_rows,
                memory_gb=settings.consistency.memory_gb,
            )
            content = found.rename_axis("measure").to_csv().encode()
            write_bytes_atomic(product.folder / PEERS, content)
            seconds = round(time.monotonic() - begun, 2)
            product.finish({"seconds": seconds, "device": str(device)}, [PEERS])
    values = pd.read_csv(product.folder / PEERS, index_col="measure")["similarity"]
    return values.reindex(list(NAMES))


def cka_of_all(
    first: Store,
    second: Store,
    names: tuple[list[str], list[str]],
    out: Path,
    device: torch.device,
) -> pd.DataFrame:
    """Give CKA by minibatch of every layer of one store with every one of another, test images.

    Layers are read once each, flattened, in the form they are stored in: CKA asks for no common
    form. Rows of the result are the first store's layers.
    """
    inputs = {"first": first.digest, "second": second.digest}
    key = product_key(names, inputs, "kc.comparison.similarities")
    with Product(out / "peers" / "matrix", key, [CKA]) as product:
        if not product.is_done():
            product.start()
            found = cka_matrix(_batches(first, second, names, device))
            frame = pd.DataFrame(found.numpy(), index=names[0], columns=names[1])
            write_bytes_atomic(product.folder / CKA, frame.to_csv().encode())
            product.finish({"device": str(device)}, [CKA])
    return pd.read_csv(product.folder / CKA, index_col=0)


def _batches(
    first: Store, second: Store, names: tuple[list[str], list[str]], device: torch.device
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    rows = rows_in(first.rows, "test")
    # a rest of fewer than four rows has no unbiased estimate
    count = max(1, math.ceil((len(rows) - 3) / MINIBATCH))
    edges = list(pairwise([*(MINIBATCH * k for k in range(count)), len(rows)]))
    arrays = [[first[name] for name in names[0]], [second[name] for name in names[1]]]
    for start, stop in tqdm(edges, desc="CKA", unit="batch", disable=None):
        of_first, of_second = (
            [torch.from_numpy(array[rows[start:stop]]).to(device) for array in some]
            for some in arrays
        )
        yield of_first, of_second
