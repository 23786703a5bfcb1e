"""Compare all layers of two stores in one pass over the images, from inner products of images."""

from collections.abc import Mapping
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from kc.comparison.similarities import cka_of_all
from kc.comparison.workplace import Workplace
from kc.consistency.order import Rows, cut
from kc.images.rows import rows_in
from kc.progress import progress_bar
from kc.provenance import product_key
from kc.similarity.all_pairs import all_pairs
from kc.similarity.dual_share import ImageParts
from kc.similarity.grams import centred_about, image_gram
from kc.store import Store
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

MOST = 2000
"""Most images: the matrices grow with their square, the ridge with their cube."""
PAIRS = "pairs.csv"


def why_not(images: int, layers: int, memory_gb: float) -> str | None:
    """Return why inner products of all images cannot be held; None if they can."""
    if images > MOST:
        return f"{images} images are more than {MOST}"
    # a half more for the training images' products of the targets
    needed = 12 * layers * images**2 / 1e9
    if needed > memory_gb:
        return (
            f"inner products of {images} images for {layers} layers take {needed:.1f} GB, more "
            f"than {memory_gb:g} (memory_gb)"
        )
    return None


class SideGrams:
    """Inner products of the images in some arrays of a store, read when they are first needed."""

    def __init__(self, store: Store, arrays: Mapping[str, str], at: Workplace) -> None:
        """Take the name of the array of each layer."""
        self.store, self.layers, self.names = store, list(arrays), list(arrays.values())
        self._at = at

    @cached_property
    def grams(self) -> Float[Tensor, "layers n n"]:
        """One matrix for each array (:func:`layer_grams`)."""
        rows, parts = image_parts(self.store, self._at.settings.seed)
        return layer_grams(self.store, self.names, rows, parts, self._at.device)


def measures_of_all(first: SideGrams, second: SideGrams, at: Workplace) -> pd.DataFrame:
    """Return the measures of each array of one store and each of another, flattened.

    Each array is read once (:func:`kc.similarity.grams.image_gram`), in its stored form: no
    measure needs a common form. A result with the same key is not computed again.

    Returns
    -------
    DataFrame
        One row for each pair, in the order of ``itertools.product``; columns as
        :func:`kc.similarity.all_pairs.all_pairs`, or only ``cka``, by minibatch, if
        :func:`why_not` gives a reason.

    Raises
    ------
    FeatureError
        There are too few training images.
    """
    names, stores = (first.names, second.names), (first.store, second.store)
    images, layers = len(first.store.rows), len(names[0]) + len(names[1])
    if why_not(images, layers, at.settings.consistency.memory_gb):
        return pd.DataFrame({"cka": cka_of_all(*stores, names, at).to_numpy().ravel()})
    seed = at.settings.seed
    inputs = {"first": first.store.digest, "second": second.store.digest}
    key = product_key((names, seed), inputs, "kc.comparison.one_pass")
    with Product(at.out / "peers" / "matrix", key, [PAIRS]) as made:
        if not made.is_done():
            made.start()
            _, parts = image_parts(first.store, seed)
            found = all_pairs(first.grams, second.grams, parts, seed)
            frame = pd.DataFrame({name: x.cpu().numpy().ravel() for name, x in found.items()})
            assert len(frame) == len(list(product(*names)))
            write_bytes_atomic(made.folder / PAIRS, frame.to_csv(index=False).encode())
            made.finish({"device": str(at.device)}, [PAIRS])
    return pd.read_csv(made.folder / PAIRS)


def image_parts(store: Store, seed: int) -> tuple[Rows, ImageParts]:
    """Return the rows in the order of their parts: fitted, validation, test."""
    fitted, validation = cut(rows_in(store.rows, "train"), seed)
    test = rows_in(store.rows, "test")
    rows = np.concatenate([fitted, validation, test])
    return rows, ImageParts(len(fitted), len(validation), len(test))


def layer_grams(
    store: Store, names: list[str], rows: Rows, parts: ImageParts, device: torch.device
) -> Float[Tensor, "layers n n"]:
    """Return the inner products of the images in each array, about the mean of training images."""
    found = torch.empty(len(names), len(rows), len(rows), dtype=torch.float64, device=device)
    for place, name in enumerate(progress_bar(names, desc="layers", unit="layer")):
        gram = image_gram(store[name].__getitem__, rows, device)
        found[place] = centred_about(gram, slice(parts.known))
    return found
