"""Compute Tables 2 and 3 of [C20] and test its hypotheses.

With several seeds, each with a teacher of its own, a number is the mean over seeds of the mean
over images, and its interval is over seeds; with one seed, intervals are over images.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor

from kc.concepts import Interval, kept_share, learning_speed, over_images, summarise
from kc.settings.concepts import Role
from kc.studies.concepts.printed import (
    TABLE2,
    TABLE2_MEASURES,
    TABLE3,
    TABLE3_MEASURES,
    Cell,
    printed,
)
from kc.studies.concepts.views import LayerView, Seen, by_cell
from kc.studies.intervals import Estimate, Scale, estimate_of, over_groups

LETTERS: Mapping[Role, str] = MappingProxyType({"teacher": "T", "student": "S", "baseline": "B"})
PAIR: tuple[Role, Role] = ("student", "baseline")
CLAIMS: Mapping[str, int] = MappingProxyType(
    {
        "n_fg": 1,
        "n_bg": -1,
        "lambda_ratio": 1,
        "d_mean": -1,
        "d_std": -1,
        "d_mean_up_to": -1,
        "d_std_up_to": -1,
        "d_ratio": -1,
        "d_mean_released": -1,
        "d_std_released": -1,
        "rho": 1,
    }
)
"""Sign of student minus baseline that [C20] claims."""
COUNTS = ("n_fg", "n_bg", "lambda_ratio")
SHARES = ("lambda_ratio", "d_ratio", "rho")
"""Measures that cannot exceed 1, where their intervals end."""
RATIO_OF = "_up_to"
"""Columns of the distance from which D(richest) / D(last) is computed."""


class Difference(NamedTuple):
    """One network minus another (student minus baseline), paired over seeds or images."""

    place: str
    """Data set, network and layer."""
    measure: str
    claim: int
    """Sign that [C20] claims."""
    found: Interval
    n: int
    """Seeds, or images of one seed."""

    @property
    def sign(self) -> int:
        """Return +1 or -1 if the interval excludes 0, else 0."""
        return int(self.found.low > 0) - int(self.found.high < 0)

    @property
    def effect(self) -> Estimate:
        """The difference times the sign that is claimed, so that above 0 means as claimed."""
        ends = sorted(self.claim * end for end in (self.found.low, self.found.high))
        mean = self.claim * self.found.value
        return estimate_of(mean, (ends[0], ends[1]), self.n)


def concepts_table2(found: Sequence[LayerView]) -> pd.DataFrame:
    """Compute Table 2: concepts of T, S and B at the last checkpoint [C20, Eq. (3)].

    Columns: dataset, network, layer, role, n_fg, n_bg, lambda_ratio, each with _low and _high,
    n_images (fewest of a seed), n_seeds, and the printed paper_n_fg and paper_lambda_ratio.
    """
    rows = []
    for views in by_cell(found):
        for role in LETTERS:
            row = _row(views, role, COUNTS)
            rows.append(row | _paper(row, TABLE2, TABLE2_MEASURES))
    return pd.DataFrame(rows)


def concepts_table3(found: Sequence[LayerView]) -> pd.DataFrame:
    """Compute Table 3: concepts, learning speed and detours of S and B [C20, Eqs. (3) to (5)].

    Columns: dataset, network, layer, role, n_fg, n_bg, lambda_ratio (last checkpoint), d_mean,
    d_std (all parameters by epoch), d_mean_up_to, d_std_up_to, d_ratio (those up to the layer),
    d_mean_released, d_std_released (the layer's weight by step), rho, each with _low and _high;
    n_images and n_rho (with a foreground concept at any checkpoint), both the fewest of a seed,
    n_seeds, dropped (share that the released selection would drop); printed values as paper_*.
    """
    rows = []
    for views in by_cell(found):
        for role in PAIR:
            row = _row(views, role, CLAIMS)
            row["n_rho"] = min(measures(view.seen[role])["rho"].n_images for view in views)
            row["dropped"] = sum(view.dropped[role] for view in views) / len(views)
            rows.append(row | _paper(row, TABLE3, TABLE3_MEASURES))
    return pd.DataFrame(rows)


def seeds_table(found: Sequence[LayerView], top1: Mapping[str, float]) -> pd.DataFrame:
    """List the values of every network: means over its images, D_std the variance.

    Columns: dataset, network, layer, teacher (what it starts from), seed, role, top1 (on test
    images, %), the measures of Table 3 (those over training not for teachers), n_images.
    """
    rows = []
    for one in {(view.cell, view.seed): view for view in found}.values():
        for role, seen in one.seen.items():
            values = measures(seen)
            shown = COUNTS if role == "teacher" else CLAIMS
            rows.append(
                _place(one)
                | {"teacher": one.cell.teacher_start, "seed": one.seed, "role": LETTERS[role]}
                | {"top1": top1[one.cell.network(role, one.seed).name]}
                | {name: values[name].value for name in shown}
                | {"n_images": values["n_fg"].n_images}
            )
    return pd.DataFrame(rows)


def measures(seen: Seen) -> dict[str, Interval]:
    """Return every measure of one network, with its interval over images."""
    values = dict(summarise(seen.counts[-1])._asdict())
    for tail, distance in _distances(seen).items():
        speed = learning_speed(distance, seen.richest)
        values |= {f"d_mean{tail}": speed.d_mean, f"d_std{tail}": speed.d_std}
        if tail == RATIO_OF:
            values["d_ratio"] = speed.d_ratio
    return values | {"rho": over_images(kept_share(seen.concepts, seen.epochs))}


def differences(views: Sequence[LayerView], pair: tuple[Role, Role] = PAIR) -> list[Difference]:
    r"""Compare two networks of each seed, for the three hypotheses of [C20].

    ``views`` are those of one cell. Over several seeds the interval is the t interval of the
    seeds' differences. With one seed, means (N_fg, N_bg, lambda, D_mean, rho) are paired over
    images, with the t interval; for D_std it is that of
    :math:`(v_S - E v_S)^2 - (v_B - E v_B)^2`, whose mean is the difference of the variances.
    """
    each = [_differences(view, pair) for view in views]
    found = []
    for name, claim in CLAIMS.items():
        own = [one[name] for one in each]
        n = len(_known(own)) if len(own) > 1 else own[0].n_images
        gap = _over_seeds(name, own, "plain")
        found.append(Difference(views[0].name, name, claim, gap, n))
    return found


def _differences(view: LayerView, pair: tuple[Role, Role]) -> dict[str, Interval]:
    one, other = (_by_image(view.seen[role]) for role in pair)
    return {name: over_images(one[name] - other[name]) for name in CLAIMS}


def _over_seeds(name: str, own: Sequence[Interval], scale: Scale) -> Interval:
    """Average the values of seeds, with an interval over them; one seed keeps its own."""
    known = _known(own)
    if len(own) == 1 or not known:
        return own[0]
    groups = [str(number) for number in range(len(known))]
    found = over_groups(groups, [one.value for one in known], scale=scale)
    high = min(found.high, 1.0) if name in SHARES and scale == "log" else found.high
    return Interval(found.mean, found.low, high, min(one.n_images for one in own))


def _known(own: Iterable[Interval]) -> list[Interval]:
    return [one for one in own if not math.isnan(one.value)]


def _row(views: Sequence[LayerView], role: Role, names: Iterable[str]) -> dict[str, Any]:
    """Return the columns of a cell and role, as means over seeds."""
    own = [measures(view.seen[role]) for view in views]
    row: dict[str, Any] = _place(views[0]) | {"role": LETTERS[role]}
    for name in names:
        row |= _ends(name, _over_seeds(name, [one[name] for one in own], "log"))
    return row | {"n_images": min(o["n_fg"].n_images for o in own), "n_seeds": len(views)}


def _place(view: LayerView) -> dict[str, Any]:
    cell = view.cell
    return {"dataset": cell.dataset, "network": cell.architecture, "layer": cell.layer}


def _by_image(seen: Seen) -> dict[str, Tensor]:
    """Return every measure of each image; NaN if it has none."""
    last = seen.counts[-1]
    values = {"n_fg": last.n_fg.double(), "n_bg": last.n_bg.double(), "lambda_ratio": last.ratio}
    for tail, distance in _distances(seen).items():
        travelled = distance[seen.richest]
        values[f"d_mean{tail}"] = travelled
        values[f"d_std{tail}"] = (travelled - travelled.mean()).square()
        if tail == RATIO_OF:
            values["d_ratio"] = travelled / (float(distance[-1]) or math.nan)
    return values | {"rho": kept_share(seen.concepts, seen.epochs)}


def _distances(seen: Seen) -> dict[str, Tensor]:
    released = seen.distance_released
    return {"": seen.distance, RATIO_OF: seen.distance_up_to, "_released": released}


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _paper(
    row: Mapping[str, Any],
    table: Mapping[Cell, Mapping[str, float]],
    names: Sequence[str],
) -> dict[str, float]:
    cell = (row["dataset"], row["network"], row["layer"], row["role"])
    return {f"paper_{name}": printed(table, cell, name) for name in names}
