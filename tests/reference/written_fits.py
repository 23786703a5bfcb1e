"""Write fits and networks as the stages do, with given shares."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import StudyPlan
from kc.store.files import file_digest, write_signed

ShareOf = Callable[[FitPlan, str], float]
Top1Of = Callable[[NetworkPlan], float]
TARGET = {"train": 4.0, "test": 5.0}
X1, X2 = 0.2, 0.1


def always(network: NetworkPlan) -> float:
    return 60.0


def write_results(
    plan: StudyPlan,
    results: Path,
    share: ShareOf,
    preset: str = "paper",
    top1: Top1Of = always,
) -> None:
    """Write all files of a plan; ``share`` gives Var(xdelta) / Var(x*) by fit and subset.

    ``top1`` gives a network's accuracy on test images, in percent.
    """
    for fit in plan.fits:
        write_fit(fit, results, share, preset)
    for fit in plan.climbed:
        write_ladder(fit, results, share)
    for network in plan.networks:
        write_network(network, results, top1)


def write_fit(fit: FitPlan, results: Path, share: ShareOf, preset: str = "paper") -> None:
    folder = results / "fits" / fit.name
    folder.mkdir(parents=True)
    rows = [row for subset in ("train", "test") for row in variances(subset, share(fit, subset))]
    names = ["subset", "component", "variance", "variance_released_centring"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "variances.csv", index=False)
    write_card(folder, card_of(fit, preset))


def write_ladder(fit: FitPlan, results: Path, share: ShareOf, penalty: float = 0.1) -> None:
    """Write the variants of a fit: maps of the fields 3 to 7, the path, two more seeds of g.

    g misses 0.05 less than the linear map of its field. The second seed's parts lie 0.01 above
    the first's, the third's 0.02 below.
    """
    own, rows = share(fit, "test"), []
    for field, extra in ((3, 0.2), (5, 0.1), (7, 0.05)):
        missed = {"field": field, "xdelta": own + extra, "xdelta_train": own}
        rows.append({"map": "linear", "order": 0, **missed})
    for order, at, loss in ((1, penalty, 0.4), (2, 0.0, 0.3), (2, penalty, 0.2)):
        g = {"order": order, "field": 3 + 2 * order, "penalty": at, "xdelta": own}
        g |= {"beyond_linear": 0.05, "validation_mse": loss, "settled": "plateau"}
        rows.append({"map": "g", **g, "x0": 0.5, "x1": 0.1, "x2": 0.1, "cross": 0.0})
    _write_beside("ladder", fit, results, {"ladder.csv": pd.DataFrame(rows)})
    linear = {"x0_linear": 0.6, "x1_beyond": 0.02, "x2_beyond": 0.01}
    moved = pd.DataFrame([{"subset": subset, **linear} for subset in TARGET])
    _write_beside("ladder", fit, results, {"moved.csv": moved})
    repeats = []
    for number, more in enumerate((0.0, 0.01, -0.02), start=1):
        for subset, target in TARGET.items():
            parts = {name: value / target for _, name, value, _ in variances(subset, own)}
            del parts["target"]
            moved_by = {name: value + more for name, value in parts.items()}
            repeats.append({"repeat": number, "subset": subset, **moved_by})
    restart = {"restart": {"gain": 0.004, "epochs": 60}}
    _write_beside("repeats", fit, results, {"repeats.csv": pd.DataFrame(repeats)}, restart)


def _write_beside(
    kind: str,
    fit: FitPlan,
    results: Path,
    frames: dict[str, pd.DataFrame],
    more: dict[str, Any] | None = None,
) -> None:
    folder = results / kind / fit.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        frame.to_csv(folder / name, index=False)
    about = {"fit": fit.name, "of": card_of(fit)["key"], "digest": "gg", "key": "hh"}
    write_card(folder, about | (more or {}))


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write a card for the files in the folder."""
    kept = {path.name: file_digest(path) for path in folder.glob("*.csv")}
    write_signed(folder / "card.json", card | {"files": kept})


def variances(subset: str, share: float) -> list[tuple[str, str, float, float]]:
    """Return variances with x0 so that cross is -0.3; the released centring halves all."""
    target = TARGET[subset]
    parts = {"x1": X1, "x2": X2, "xdelta": share * target}
    parts["x0"] = target + 0.3 - sum(parts.values())
    whole = {**dict(sorted(parts.items())), "target": target, "cross": -0.3}
    return [(subset, name, value, value / 2) for name, value in whole.items()]


def card_of(fit: FitPlan, preset: str = "paper") -> dict[str, Any]:
    half = fit.images == "half"
    return {
        "fit": fit.name,
        "source": {"network": fit.source.name, "layer": fit.source_layer, "digest": "aa"},
        "target": {"network": fit.target.name, "layer": fit.target_layer, "digest": "bb"},
        "images": fit.images,
        "only": fit.only,
        "preset": preset,
        "penalty": 0.1,
        "gain": "free",
        "settled": "plateau",
        "p": [0.4, 0.3],
        "resized": False,
        "positions_per_weight": 10.0 if half else 20.0,
        "seconds": 1.5,
        "device": "cpu",
        "digest": "cc",
        "key": "dd",
    }


def write_network(network: NetworkPlan, results: Path, top1: Top1Of = always) -> None:
    folder = results / "networks" / network.name
    folder.mkdir(parents=True)
    card = {
        "architecture": network.architecture,
        "dataset": network.dataset,
        "image_store": "dd",
        "accuracy": {"test": top1(network), "train": 90.0},
        "images": 360 if network.half else 720,
        "seconds": 12.5,
        "device": "cpu",
        "digest": "ee",
        "key": "ff",
    }
    if network.removed:
        card |= pruning_of(network)
    write_card(folder, card)


def pruning_of(network: NetworkPlan) -> dict[str, float]:
    """Report slightly more pruned weights than requested, at distinct multiples."""
    removed = network.removed
    return {"removed_share": removed + 1e-4, "s_conv": 2 * removed, "s_fc": 3 * removed}
