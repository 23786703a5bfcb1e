"""Which rows of a data set: those of a subset, of a superclass."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from kc.names import Subset


def rows_in(rows: pd.DataFrame, subset: Subset | None, only: str = "") -> Int[np.ndarray, " n"]:
    """Return the rows of a subset (none: of both) that are of a superclass (empty: of any)."""
    chosen = np.ones(len(rows), dtype=bool)
    if subset is not None:
        chosen &= (rows["subset"] == subset).to_numpy()
    if only:
        chosen &= (rows["superclass"] == only).to_numpy()
    return np.flatnonzero(chosen).astype(np.int64)
