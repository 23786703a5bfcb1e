"""What the pixels and an untrained network give of each layer of a matrix: its lower bound."""

from collections.abc import Mapping

import pandas as pd

from kc.comparison.one_pass import SideGrams, image_parts
from kc.comparison.references import PIXELS, pixel_reader
from kc.comparison.sides import ComparedRows
from kc.comparison.workplace import Workplace
from kc.provenance import product_key
from kc.similarity.all_pairs import LINEAR, one_to_many
from kc.similarity.grams import centred_about, image_gram
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
        of the other side's untrained twin by each measure. Columns: side, layer, reference, and
        those of :func:`kc.similarity.all_pairs.one_to_many`. A result with the same key is not
        computed again.
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
        grams = {
            UNTRAINED: [gram for other, twin in twins.items() if other != letter
                        for gram in twin.grams]
        }  # fmt: skip
        if rows.images is not None:
            read = pixel_reader(rows.images["image"])
            gram = centred_about(image_gram(read, order, at.device), slice(parts.known))
            grams[PIXELS] = [gram]
        for reference, some in grams.items():
            each = [_frame(one_to_many(one, side.grams, parts, at.settings.seed)) for one in some]
            if each:
                about = {"side": letter, "layer": side.layers, "reference": reference}
                frames.append(pd.DataFrame(about).join(_best(each)))
    return pd.concat(frames, ignore_index=True)


def _frame(found: Mapping[str, object]) -> pd.DataFrame:
    return pd.DataFrame({name: value.cpu().numpy() for name, value in found.items()})  # type: ignore[attr-defined]


def _best(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the best of several sources for each target: smallest shares and p, else largest."""
    stacked = pd.concat(frames, keys=range(len(frames)))
    by_target = stacked.groupby(level=1)
    least, most = by_target.min(), by_target.max()
    smaller = [name for name in map(str, least) if name == LINEAR or name.startswith("p_")]
    most[smaller] = least[smaller]
    return most
