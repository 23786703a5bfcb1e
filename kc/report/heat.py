"""Heatmaps of a page that a reader explores: one measure at a time, raw beside calibrated."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from jaxtyping import Float

from kc.errors import printable
from kc.report.data_script import write_script

HEAT_COLOURS = "viridis_r"
"""Of matplotlib; from 0 to 1."""
DIGITS = 4
"""Decimals of the numbers in the script."""

Values = Float[np.ndarray, "rows columns"]


class HeatMeasure(NamedTuple):
    """A measure of every row and column; NaN: not measured."""

    title: str
    raw: Values
    calibrated: Values | None = None
    """The same against its null; None: there is none."""


class HeatMap(NamedTuple):
    """A heatmap for each of some measures."""

    name: str
    """Unique on the page: letters, digits, ``_`` and ``-``."""
    rows: tuple[str, Sequence[str]]
    """Title of the rows, and their names."""
    columns: tuple[str, Sequence[str]]
    measures: Sequence[HeatMeasure]

    @property
    def script(self) -> str:
        """Name of its data script."""
        return f"heat-{self.name}"


def write_heat(heat: HeatMap, folder: Path) -> None:
    """Write the script with the numbers of a heatmap."""
    content = {
        "rows": [printable(name) for name in heat.rows[1]],
        "columns": [printable(name) for name in heat.columns[1]],
        "titles": [printable(heat.rows[0]), printable(heat.columns[0])],
        "measures": [_spelled(measure) for measure in heat.measures],
        "colours": np.rint(255 * mpl.colormaps[HEAT_COLOURS](np.linspace(0, 1, 256))[:, :3])
        .astype(int)
        .ravel()
        .tolist(),
    }
    write_script(folder / f"{heat.script}.js", heat.script, content)


def _spelled(measure: HeatMeasure) -> dict[str, Any]:
    calibrated = None if measure.calibrated is None else _listed(measure.calibrated)
    return {"title": measure.title, "raw": _listed(measure.raw), "calibrated": calibrated}


def _listed(values: Values) -> list[list[float | None]]:
    return [
        [round(value, DIGITS) if np.isfinite(value) else None for value in row]
        for row in values.tolist()
    ]
