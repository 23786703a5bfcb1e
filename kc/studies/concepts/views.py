"""Read the maps of teacher, student and baseline, and count concepts in the images of all three."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kc.concepts import Counts, count_concepts, effective, richest_checkpoint
from kc.concepts.maps import Maps, read_maps
from kc.concepts.networks import read_history
from kc.concepts.samples import Measured, measured_pictures
from kc.concepts.training import ALL, UP_TO
from kc.errors import StoreError
from kc.images import open_images
from kc.plans.commands import fix_at, remake
from kc.plans.concept_products import ConceptCell, cells_of
from kc.settings.concepts import ROLES, Concepts, PaperTable, Role

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


class NetworkMaps(NamedTuple):
    """Entropy maps of one layer of a network, and its history."""

    maps: Maps
    history: pd.DataFrame
    """One row for each epoch."""


class LayerView(NamedTuple):
    """One layer of teacher, student and baseline of one seed."""

    cell: ConceptCell
    seed: int
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
        return f"{self.cell.dataset} {self.cell.architecture} {self.cell.layer}"


def view_layer(about: Concepts, results: Path, cell: ConceptCell, seed: int) -> LayerView:
    """Read the maps of one layer of teacher, student and baseline and count concepts in them.

    Raises
    ------
    StoreError
        Maps are missing, damaged, or those of other images.
    ImageError
        The data set has no foreground.
    """
    images = open_images(results / "images" / f"{cell.dataset}.json")
    measured = measured_pictures(images, about.lessons_of(cell.dataset).classes, about.images)
    read: dict[Role, NetworkMaps] = {}
    for role in ROLES:
        plan = cell.network(role, seed)
        maps = read_maps(plan, cell.layer, results / "concepts" / "maps")
        _check_images(maps, measured, results / "concepts" / "maps" / plan.maps(cell.layer))
        read[role] = NetworkMaps(maps, read_history(plan, results / "concepts" / "networks"))
    return layer_view(about, cell, seed, measured, read)


def layer_view(
    about: Concepts,
    cell: ConceptCell,
    seed: int,
    measured: Measured,
    read: Mapping[Role, NetworkMaps],
) -> LayerView:
    """Count concepts in the maps of teacher, student and baseline.

    Images that are not usable at every checkpoint after epoch 0 in all three are left out, so that
    no set of concepts is empty only because a map is missing, and rows use the same images.
    """
    front, threshold = measured.foreground, about.threshold(cell.architecture)
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
    for role, (maps, history) in read.items():
        found = _from_the_start(maps, read["baseline"].maps) if role == "student" else maps
        H = found.H[:, kept]
        counts = tuple(count_concepts(one, front[kept], threshold, about.level) for one in H)
        rows = history.set_index("epoch").loc[list(found.epochs)]
        names = (ALL, UP_TO + cell.layer, cell.layer)
        ways = [torch.tensor(rows[f"distance_{name}"].to_numpy(float)) for name in names]
        seen[role] = Seen(role, found.epochs, H, counts, *ways)
    chosen = kept.nonzero().flatten()
    left = Measured(
        measured.rows[chosen.numpy()], [measured.ids[i] for i in chosen.tolist()], front[kept]
    )
    return LayerView(cell, seed, seen, left, int((~usable).sum()), dropped)


def views(about: Concepts, results: Path, table: PaperTable) -> list[LayerView]:
    """Read every layer and seed of the networks of Table 2 or 3; see :func:`view_layer`."""
    return [
        view_layer(about, results, cell, seed)
        for cell in cells_of(about, table)
        for seed in about.seeds
    ]


def by_cell(found: Iterable[LayerView]) -> list[list[LayerView]]:
    """Group the views of all seeds by cell, in order."""
    return [list(some) for _, some in groupby(found, lambda view: view.cell)]


def shared_images(some: Sequence[LayerView]) -> list[str]:
    """List the images that are used for all seeds of a cell; those of the first if none is."""
    ids = [set(view.measured.ids) for view in some]
    both = [name for name in some[0].measured.ids if all(name in own for own in ids)]
    return both or some[0].measured.ids


def _from_the_start(maps: Maps, baseline: Maps) -> Maps:
    """Add the maps before training, which are the baseline's: both start with equal weights."""
    if baseline.epochs[0] > 0 or maps.epochs[0] == 0:
        return maps
    H = torch.cat([baseline.H[:1], maps.H])
    return maps._replace(epochs=(baseline.epochs[0], *maps.epochs), H=H)


def _check_images(maps: Maps, measured: Measured, path: Path) -> None:
    if maps.ids != measured.ids:
        file = Path(f"{path}.json")
        raise StoreError(
            f"{path}.zarr: holds maps of {len(maps.ids)} images that are not the "
            f"{len(measured.ids)} that the settings select. Fix: {fix_at(file, remake(file))}"
        )
