"""Write the ladder of a comparison: a table and two figures with captions."""

import re
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from kc.comparison import Comparison
from kc.report.curves import CurveAxis, curves_figure
from kc.report.figures import write_figure
from kc.report.page import Drawing, PageSection
from kc.report.tables import Column, TableText, write_table

ENDS = (("b", "a"), ("a", "b"))
"""Target and source of each panel."""
LABELS = {"g": "g", "linear": "linear map of the field", "flattened": "linear map of whole images"}
"""Labels of lines; orders keep their names."""
CAPTION = (
    "Share of the target's variance that is missing (FVU = 1 - R^2), test images: with g of order "
    "K, with the best linear map (with an intercept) that sees the same field, and with the one "
    "that sees whole images. What g misses less than the linear map of its field is non-linear."
)
PATH = (
    "The path over lambda, the penalty on the gains: shares of x^Delta and of the orders, test "
    "images. Training of each g continues from the g of the table, until it is finished."
)


def write_ladder(found: Comparison, out: Path) -> PageSection:
    """Write the table (csv, md, tex, json) and figures (png, svg); return the page section."""
    assert found.ladder is not None
    frame = found.ladder
    path = out / "tables" / "ladder"
    shares = {name: Column(name, ".3f") for name in map(str, frame) if name.startswith("x")}
    write_table(
        frame,
        path,
        TableText(
            title="What the orders are worth",
            caption="Share that g and the linear maps of each field miss, test images.",
            notes=found.ladder_notes,
        ),
        provenance=found.provenance,
        columns=shares
        | {
            "penalty": Column("lambda"),
            "beyond_linear": Column("beyond linear: what g gives more than the linear map", ".3f"),
        },
    )
    penalty = found.provenance["settings"]["consistency"]["penalty"]
    figures = {"ladder": (_fields_figure(frame, penalty), CAPTION)}
    if "ladder-path" in figures_of(frame):
        figures["ladder-path"] = _path_figure(frame), PATH
    drawn = []
    for name, (figure, caption) in figures.items():
        write_figure(figure, out / "figures" / name)
        drawn.append(Drawing(out / "figures" / name, caption))
    return PageSection("ladder", "Orders and linear maps", "", [path], drawn)


def figures_of(ladder: pd.DataFrame) -> list[str]:
    """List the figures: that of the path only if there are several lambda."""
    return ["ladder", *(["ladder-path"] if len(_path(ladder)) else [])]


def _path(ladder: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of g of the highest order if there are several lambda, else none."""
    of: pd.DataFrame = ladder[(ladder["map"] == "g") & (ladder["order"] == ladder["order"].max())]
    return of if of["penalty"].drop_duplicates().count() > 1 else of.iloc[:0]


def _fields_figure(ladder: pd.DataFrame, penalty: float) -> Figure:
    """Draw shares against the order with the same field, one panel for each direction."""
    points = []
    for target, rows in ladder.groupby("target", sort=False):
        own = rows[(rows["map"] == "g") & (rows["penalty"] == penalty)]
        highest = own.iloc[-1]
        for order in range(int(highest["order"]) + 1):
            # the field grows by the same amount with each order
            field = 1 + (order + 1) * (int(highest["field"]) - 1) // (int(highest["order"]) + 1)
            linear = rows[(rows["map"] == "linear") & (rows["field"] == field)]
            flat = rows[rows["map"] == "flattened"]
            for some in (own[own["order"] == order], linear, flat):
                shares = zip(some["map"], some["xdelta"], strict=True)
                points += [(name, order, target, share) for name, share in shares]
    frame = pd.DataFrame(points, columns=["hue", "order", "target", "value"])
    return _panels(frame, CurveAxis("order", "order K whose field the map sees"), "missing share")


def _path_figure(ladder: pd.DataFrame) -> Figure:
    """Draw shares of x^Delta and of the orders against lambda, one panel for each direction."""
    path = _path(ladder)
    parts = ["xdelta", *(name for name in path if re.fullmatch(r"x\d+", str(name)))]
    frame = path.melt(["target", "penalty"], parts, "hue", "value")
    return _panels(frame, CurveAxis("penalty", "lambda"), "share")


def _panels(frame: pd.DataFrame, x: CurveAxis, what: str) -> Figure:
    """Draw one line for each ``hue``, the two directions side by side."""
    wide = frame.pivot_table(index=["hue", x.column], columns="target", values="value", sort=False)
    wide = wide.reset_index()
    y = [CurveAxis(target, f"{target} from {source}: {what} of Var(x*)") for target, source in ENDS]
    figure = curves_figure(wide, x, y[0], "hue", LABELS, y[1])
    # both panels show shares, so both get the same axis
    lows, highs = zip(*(axes.get_ylim() for axes in figure.axes), strict=True)
    for axes in figure.axes:
        axes.set_ylim(min(lows), max(highs))
    return figure
