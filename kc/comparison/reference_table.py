"""What the pixels and an untrained network give of each layer of a matrix: its lower bound."""

from collections.abc import Mapping

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from kc.comparison.one_pass import SideGrams, image_parts
from kc.comparison.references import PIXELS, pixel_gram
from kc.comparison.sides import ComparedRows
from kc.comparison.workplace import Workplace
from kc.provenance import product_key
from kc.similarity.all_pairs import LINEAR, raw_values
from kc.store.files import write_bytes_atomic
from kc.store.product import Product

FILE = "references.csv"
UNTRAINED = "untrained"
ABOUT = ("side", "layer", "reference")


def reference_table(
    sides: Mapping[str, SideGrams],
    twins: Mapping[str, SideGrams],
    rows: ComparedRows,
    at: Workplace,
) -> pd.DataFrame:
    """Return what references give of each layer of each side.

    Parameters
    ----------
    sides
        By letter.
    twins
        Of the untrained twins of networks, by the letter of the network.

    Returns
    -------
    DataFrame
        One row for each side, layer and reference: ``pixels``, and ``untrained``, the best layer
        of the other side's untrained twin by each measure. Columns: side, layer, reference, cka,
        neighbours_flattened, linear_flattened (the share that is missed). A result with the same
        key is not computed again.
    """
    inputs = {letter: side.store.digest for letter, side in sides.items()}
    inputs |= {f"{letter}.{UNTRAINED}": twin.store.digest for letter, twin in twins.items()}
    inputs |= {} if rows.images is None else {PIXELS: rows.images.digest}
    names = {letter: side.names for letter, side in sides.items()}
    key = product_key((names, at.settings.seed), inputs, "kc.comparison.reference_table")
    with Product(at.out / "peers" / "references", key, [FILE]) as made:
        if not made.is_done():
            made.start()
            frame = _computed(sides, twins, rows, at)
            write_bytes_atomic(made.folder / FILE, frame.to_csv(index=False).encode())
            made.finish({"device": str(at.device)}, [FILE])
    words = dict.fromkeys(ABOUT, str)
    return pd.read_csv(made.folder / FILE, dtype=words, keep_default_na=False, na_values=[""])


def _computed(
    sides: Mapping[str, SideGrams],
    twins: Mapping[str, SideGrams],
    rows: ComparedRows,
    at: Workplace,
) -> pd.DataFrame:
    frames = []
    for letter, side in sides.items():
        order, parts = image_parts(side.store, at.settings.seed)
        others = [twin.grams for other, twin in twins.items() if other != letter]
        sources = {UNTRAINED: others[0]} if others else {}
        if rows.images is not None:
            sources[PIXELS] = pixel_gram(rows.images["image"], order, parts, at.device)[None]
        for reference, grams in sources.items():
            found = raw_values(grams, side.grams, parts)
            about = {"side": letter, "layer": side.layers, "reference": reference}
            best = {name: _best(name, values).cpu().numpy() for name, values in found.items()}
            frames.append(pd.DataFrame(about | best))
    return pd.concat(frames, ignore_index=True)


def _best(name: str, values: Float[Tensor, "sources targets"]) -> Float[Tensor, " targets"]:
    """Return the best source of each target: the smallest share, the largest similarity."""
    known = values.nan_to_num(nan=torch.inf if name == LINEAR else -torch.inf)
    best = known.amin(0) if name == LINEAR else known.amax(0)
    return torch.where(best.isfinite(), best, torch.nan)
