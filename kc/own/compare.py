"""Two networks, a layer of each, a folder of pictures: what each layer knows of the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from kc.consistency.net import check_shapes
from kc.images.rows import rows_in
from kc.names import SUBSETS, component_names
from kc.own.fits import Fitted, fit_direction
from kc.own.layers import Tap, tap
from kc.own.networks import OwnNetwork
from kc.own.pictures import build_pictures
from kc.own.record import record_layer
from kc.own.settings import CompareSettings
from kc.provenance import code_hash, plain, versions
from kc.runtime import pick_device
from kc.store import Store

ENOUGH = 10.0
"""Positions per weight of g below which a warning is due."""
DEFAULT = CompareSettings()


class Comparison(NamedTuple):
    """What came out, for tables and pictures."""

    shares: pd.DataFrame
    """One row a direction and subset: shares of Var(target) by order, counts, gains."""
    notes: tuple[str, ...]
    """What the numbers are of; warnings first. They hold no path."""
    components: dict[str, Path]
    """Component store of each direction, where the layers are maps."""
    images: Store
    provenance: dict[str, Any]


class _Side(NamedTuple):
    letter: str
    network: OwnNetwork
    tapped: Tap

    def note(self) -> str:
        shape = " x ".join(map(str, self.tapped.shape))
        return (
            f"{self.letter}: {self.network.name}, weights: {self.network.weights}; layer "
            f"{self.tapped.node} ({shape})."
        )


def compare(
    a: OwnNetwork,
    b: OwnNetwork,
    layer_a: str,
    layer_b: str,
    images: Path | str,
    out: Path | str,
    settings: CompareSettings = DEFAULT,
    device: str = "auto",
) -> Comparison:
    """Reconstruct each layer from the other and say what share of it cannot be had.

    Everything lies in ``out``: ``pictures.zarr``, ``activations/``, ``fits/``, ``components/``.
    A run that was killed goes on from there; what was made from other settings, pictures or
    weights is made anew.

    Raises
    ------
    NetworkError
        No such layer (the nearest are named), or a network that cannot be traced, or takes no
        pictures of this size.
    ImageError
        Too few pictures, or one that does not decode.
    FeatureError
        Layers g cannot lead between, values that are not finite.
    """
    folder, chosen = Path(out), pick_device(device)
    sides = [
        _Side("a", a, tap(a, layer_a, settings.size)),
        _Side("b", b, tap(b, layer_b, settings.size)),
    ]
    check_shapes(sides[0].tapped.shape, sides[1].tapped.shape)
    store = build_pictures(Path(images), folder / "pictures.zarr", settings)
    recorded = {
        side.letter: record_layer(
            side.tapped, store, settings, folder / "activations" / f"{side.letter}.zarr", chosen
        )
        for side in sides
    }
    fits = {
        (source, target): fit_direction(
            f"{target}-from-{source}",
            recorded[source],
            recorded[target],
            settings,
            folder,
            chosen,
        )
        for source, target in (("a", "b"), ("b", "a"))
    }
    shares = _shares(fits, settings.consistency.order)
    return Comparison(
        shares,
        _notes(sides, fits, shares, store, settings),
        {f.card["fit"]: f.components for f in fits.values() if f.components is not None},
        store,
        {
            "images": {"source": str(images), "digest": store.digest, "rows": len(store.rows)},
            "networks": {
                side.letter: {
                    "name": side.network.name,
                    "weights": side.network.weights,
                    "layer": side.tapped.node,
                    "digest": side.tapped.digest,
                    "activations": recorded[side.letter].store.digest,
                }
                for side in sides
            },
            "settings": plain(settings),
            "fits": [fitted.card for fitted in fits.values()],
            "code": code_hash("kc.own.compare"),
            "versions": versions(),
            "device": str(chosen),
        },
    )


def _shares(fits: dict[tuple[str, str], Fitted], order: int) -> pd.DataFrame:
    """Give one row a direction and subset, held-out images first."""
    rows = []
    for (source, target), fitted in fits.items():
        card = fitted.card
        for subset in reversed(SUBSETS):
            part = fitted.variances[fitted.variances["subset"] == subset]
            variance = part.set_index("component")["variance"]
            row: dict[str, Any] = {"target": target, "source": source, "subset": subset}
            for name in ("xdelta", *component_names(order)[:-1], "cross"):
                row[name] = float(variance[name] / variance["target"])
            row["images"] = card["rows"][subset]
            row["positions_per_weight"] = float(card["positions_per_weight"])
            rows.append(row | {f"p{k}": p for k, p in enumerate(card["p"], start=1)})
    return pd.DataFrame(rows)


def _notes(
    sides: Sequence[_Side],
    fits: dict[tuple[str, str], Fitted],
    shares: pd.DataFrame,
    store: Store,
    settings: CompareSettings,
) -> tuple[str, ...]:
    counts = " and ".join(f"{len(rows_in(store.rows, name))} {name}" for name in SUBSETS)
    notes = [
        *_warnings(fits, shares),
        *(side.note() for side in sides),
        f"Images: {counts}, {settings.size} px, minus {_spell(settings.mean)}, over "
        f"{_spell(settings.std)}.",
        "Shares are of the variance of the target's feature; x^(0) is what a linear map of the "
        "source gives, x^(k) what k non-linear layers add, xdelta what the source does not give. "
        "The parts may be correlated: cross is what their sum misses of 1.",
        "g is fitted and stopped on training images; test images are read once, at the end. How "
        "the parts fall to x^(1) and above depends on lambda "
        f"({settings.consistency.penalty:g}); do not compare them across layers.",
        "One pair of networks: how far another seed would differ is not told by these numbers.",
    ]
    if any(fitted.card["resized"] for fitted in fits.values()):
        notes.append("The maps differ in size: the source's is resized bilinearly to the target's.")
    return tuple(notes)


def _warnings(fits: dict[tuple[str, str], Fitted], shares: pd.DataFrame) -> list[str]:
    """Say where images are too few for the layer's width, with the numbers."""
    found = []
    for (source, target), fitted in fits.items():
        card = fitted.card
        if card["positions_per_weight"] >= ENOUGH:
            continue
        of = shares[shares["target"] == target].set_index("subset")["xdelta"]
        each, weights = card["positions_per_image"], card["weights_per_channel"]
        needed = -(-ENOUGH * weights // each)
        found.append(
            f"Warning: too few images for the width of this layer. From {source} to {target}, g "
            f"has {weights} weights for each channel and {card['rows']['train']} x {each} "
            f"positions to fit them on: {card['positions_per_weight']:.1f} a weight, at least "
            f"{ENOUGH:g} are wanted ({needed:.0f} training images). What g learns by heart fails "
            f"on test images, so the test share is too high: {of['test']:.3f}, on training images "
            f"{of['train']:.3f}."
        )
    return found


def _spell(colours: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in colours)})"
