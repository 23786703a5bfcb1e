"""Selection of a data set's rows by subset and superclass."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from kc.names import Subset


def rows_in(rows: pd.DataFrame, subset: Subset | None, only: str = "") -> Int[np.ndarray, " n"]:
    """Return the rows of a subset (None: both) and of a superclass (empty: any)."""
    chosen = np.ones(len(rows), dtype=bool)
    if subset is not None:
        chosen &= (rows["subset"] == subset).to_numpy()
    if only:
        chosen &= (rows["superclass"] == only).to_numpy()
    return np.flatnonzero(chosen).astype(np.int64)
