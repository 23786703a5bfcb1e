"""Compute Tables 2 and 3 of [C20] and test its hypotheses."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kc.concepts import (
    Counts,
    Interval,
    count_concepts,
    effective,
    kept_share,
    learning_speed,
    over_images,
    richest_checkpoint,
    summarise,
)
from kc.concepts.maps import Maps, read_maps
from kc.concepts.networks import read_history
from kc.concepts.samples import Measured, measured_pictures
from kc.concepts.training import ALL, UP_TO
from kc.errors import StoreError
from kc.images import open_images
from kc.names import Architecture
from kc.plans.commands import fix_at, remake
from kc.plans.concept_products import ConceptNetwork
from kc.settings.concepts import Concepts, Role
from kc.studies.concepts.printed import (
    TABLE2,
    TABLE2_MEASURES,
    TABLE3,
    TABLE3_MEASURES,
    Cell,
    printed,
)

LETTERS: dict[Role, str] = {"teacher": "T", "student": "S", "baseline": "B"}
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
RATIO_OF = "_up_to"
"""Columns of the distance from which D(richest) / D(last) is computed."""
LATE = 2 / 3
"""Checkpoints after this share of the epochs are late; the released code's choice is unknown."""


class Seen(NamedTuple):
    """One layer of one network over training, on the n images usable for all compared networks.

    The first dimension of every array is the checkpoint, including that before training.
    """

    role: Role
    epochs: tuple[int, ...]
    H: Float[Tensor, "m n grid grid"]
    counts: tuple[Counts, ...]
    distance: Float[Tensor, " m"]
    """Distance of all parameters, summed by epoch [C20, Eq. (4)]; no unit."""
    distance_up_to: Float[Tensor, " m"]
    """Distance of the parameters up to the layer, by epoch; both networks train these."""
    distance_released: Float[Tensor, " m"]
    """Distance of the layer's weight, summed by step."""

    @property
    def n_fg(self) -> Int[Tensor, "m n"]:
        """Return the number of foreground concepts."""
        return torch.stack([counts.n_fg for counts in self.counts])

    @property
    def concepts(self) -> Bool[Tensor, "m n grid grid"]:
        """Return which foreground cells are concepts."""
        return torch.stack([counts.foreground for counts in self.counts])

    @property
    def richest(self) -> Int[Tensor, " n"]:
        """Return the row of each image's checkpoint with most concepts."""
        return richest_checkpoint(self.n_fg, self.epochs)


class Difference(NamedTuple):
    """One network minus another (student minus baseline), paired over the images of both."""

    place: str
    """Data set, network and layer."""
    measure: str
    claim: int
    """Sign that [C20] claims."""
    found: Interval

    @property
    def sign(self) -> int:
        """Return +1 or -1 if the interval excludes 0, else 0."""
        return int(self.found.low > 0) - int(self.found.high < 0)


class NetworkMaps(NamedTuple):
    """Entropy maps of one layer of a network, and its history."""

    maps: Maps
    history: pd.DataFrame
    """One row for each epoch."""


class LayerView(NamedTuple):
    """One layer of teacher, student and baseline."""

    dataset: str
    network: Architecture
    layer: str
    seen: dict[Role, Seen]
    measured: Measured
    """The images that are used, the same for all three."""
    unusable: int
    """Number of images left out: skipped by the search, or without a level, for a network."""
    dropped: dict[Role, float]
    """Share of the usable images that the released selection would drop."""

    @property
    def name(self) -> str:
        """Return data set, network and layer as one text, for notes."""
        return f"{self.dataset} {self.network} {self.layer}"


def view_layer(
    about: Concepts, results: Path, dataset: str, network: Architecture, layer: str
) -> LayerView:
    """Read the maps of one layer of teacher, student and baseline and count concepts in them.

    Raises
    ------
    StoreError
        Maps are missing, damaged, or those of other images.
    ImageError
        The data set has no foreground.
    """
    images = open_images(results / "images" / f"{dataset}.json")
    measured = measured_pictures(images, about.lessons_of(dataset).classes, about.images)
    read: dict[Role, NetworkMaps] = {}
    for role in LETTERS:
        plan = ConceptNetwork(dataset, network, role, layer if role == "student" else "")
        maps = read_maps(plan, layer, results / "concepts" / "maps")
        _check_images(maps, measured, results / "concepts" / "maps" / plan.maps(layer))
        read[role] = NetworkMaps(maps, read_history(plan, results / "concepts" / "networks"))
    return layer_view(about, dataset, network, layer, measured, read)


def layer_view(
    about: Concepts,
    dataset: str,
    network: Architecture,
    layer: str,
    measured: Measured,
    read: Mapping[Role, NetworkMaps],
) -> LayerView:
    """Count concepts in the maps of teacher, student and baseline.

    Images that are not usable at every checkpoint after epoch 0 in all three are left out, so that
    no set of concepts is empty only because a map is missing, and rows use the same images.
    """
    front, threshold = measured.foreground, about.threshold(network)
    usable = torch.ones(len(front), dtype=torch.bool)
    for found, _ in read.values():
        for epoch, H in zip(found.epochs, found.H, strict=True):
            if epoch > 0:
                usable &= count_concepts(H, front, threshold, about.level).usable
    kept, dropped = usable.clone(), {}
    for role, (found, _) in read.items():
        late = [row for row, e in enumerate(found.epochs) if e >= LATE * found.epochs[-1]]
        selection = effective(found.H[late][:, usable], front[usable])
        dropped[role] = selection.dropped
        if about.effective:
            kept[usable] &= selection.kept
    seen = {}
    for role, (found, history) in read.items():
        H = found.H[:, kept]
        counts = tuple(count_concepts(one, front[kept], threshold, about.level) for one in H)
        rows = history.set_index("epoch").loc[list(found.epochs)]
        names = (ALL, UP_TO + layer, layer)
        ways = [torch.tensor(rows[f"distance_{name}"].to_numpy(float)) for name in names]
        seen[role] = Seen(role, found.epochs, H, counts, *ways)
    chosen = kept.nonzero().flatten()
    left = Measured(
        measured.rows[chosen.numpy()], [measured.ids[i] for i in chosen.tolist()], front[kept]
    )
    return LayerView(dataset, network, layer, seen, left, int((~usable).sum()), dropped)


def views(about: Concepts, results: Path) -> list[LayerView]:
    """Read every network and layer of the study; see :func:`view_layer`."""
    return [
        view_layer(about, results, dataset, network, layer)
        for dataset in about.datasets
        for network in about.architectures
        for layer in about.layers_of(dataset)
    ]


def concepts_table2(found: Sequence[LayerView]) -> pd.DataFrame:
    """Compute Table 2: concepts of T, S and B at the last checkpoint [C20, Eq. (3)].

    Columns: dataset, network, layer, role, n_fg, n_bg, lambda_ratio, each with _low and _high,
    n_images, and the printed paper_n_fg and paper_lambda_ratio.
    """
    rows = []
    for view in found:
        for role in view.seen:
            row = _last(view, role)
            rows.append(row | _paper(row, TABLE2, TABLE2_MEASURES))
    return pd.DataFrame(rows)


def concepts_table3(found: Sequence[LayerView]) -> pd.DataFrame:
    """Compute Table 3: concepts, learning speed and detours of S and B [C20, Eqs. (3) to (5)].

    Columns: dataset, network, layer, role, n_fg, n_bg, lambda_ratio (last checkpoint), d_mean,
    d_std (all parameters by epoch), d_mean_up_to, d_std_up_to, d_ratio (those up to the layer),
    d_mean_released, d_std_released (the layer's weight by step), rho, each with _low and _high;
    n_images, n_rho (images with a foreground concept at any checkpoint), dropped (share that the
    released selection would drop); printed values as paper_*.
    """
    rows = []
    for view in found:
        for role in PAIR:
            seen = view.seen[role]
            row = _last(view, role)
            for tail, distance in _distances(seen).items():
                speed = learning_speed(distance, seen.richest)
                row |= _ends(f"d_mean{tail}", speed.d_mean) | _ends(f"d_std{tail}", speed.d_std)
                if tail == RATIO_OF:
                    row |= _ends("d_ratio", speed.d_ratio)
            rho = over_images(kept_share(seen.concepts, seen.epochs))
            row |= _ends("rho", rho)
            row |= {"n_rho": rho.n_images, "dropped": view.dropped[role]}
            rows.append(row | _paper(row, TABLE3, TABLE3_MEASURES))
    return pd.DataFrame(rows)


def differences(view: LayerView, pair: tuple[Role, Role] = PAIR) -> list[Difference]:
    r"""Compare two networks image by image, for the three hypotheses of [C20].

    Means (N_fg, N_bg, lambda, D_mean, rho) are paired over images, with the t interval. For D_std
    it is that of :math:`(v_S - E v_S)^2 - (v_B - E v_B)^2`, whose mean is the difference of
    the variances.
    """
    one, other = (_by_image(view.seen[role]) for role in pair)
    return [
        Difference(view.name, measure, claim, over_images(one[measure] - other[measure]))
        for measure, claim in CLAIMS.items()
    ]


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
    return {
        "": seen.distance, RATIO_OF: seen.distance_up_to, "_released": seen.distance_released
    }  # fmt: skip


def _last(view: LayerView, role: Role) -> dict[str, Any]:
    """Return the first columns of a row: what it is of, and the last checkpoint."""
    summary = summarise(view.seen[role].counts[-1])
    row: dict[str, Any] = {
        "dataset": view.dataset,
        "network": view.network,
        "layer": view.layer,
        "role": LETTERS[role],
    }
    for name, interval in summary._asdict().items():
        row |= _ends(name, interval)
    return row | {"n_images": summary.n_fg.n_images}


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _paper(
    row: Mapping[str, Any],
    table: Mapping[Cell, Mapping[str, float]],
    measures: Sequence[str],
) -> dict[str, float]:
    cell = (row["dataset"], row["network"], row["layer"], row["role"])
    return {f"paper_{name}": printed(table, cell, name) for name in measures}


def _check_images(maps: Maps, measured: Measured, path: Path) -> None:
    if maps.ids != measured.ids:
        file = Path(f"{path}.json")
        raise StoreError(
            f"{path}.zarr: holds maps of {len(maps.ids)} images that are not the "
            f"{len(measured.ids)} that the settings select. Fix: {fix_at(file, remake(file))}"
        )
