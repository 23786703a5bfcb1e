"""Check a run of ``kc compare``: its exit code and messages, and its numbers with numpy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from typer.testing import CliRunner

from kc.cli.main import app
from kc.comparison import read_network
from kc.consistency.saved import load_fit
from kc.store import Store, open_store
from tests.fuzz.inputs import Case, Side
from tests.reference import plain_g, plain_similarity

IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 1, 3, 1, 1)


def run(case: Case) -> tuple[int, str]:
    """Run the command in this process; return its exit code and its output."""
    done = CliRunner().invoke(app, ["compare", *case.arguments])
    said = done.output
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        said += f"\n{type(done.exception).__name__}: {done.exception}"
    return done.exit_code, said


def faults(case: Case, code: int, said: str) -> list[str]:
    """List the faults of a run; a refusal must be one clear message."""
    if code not in (0, 2):
        return [f"exit {code}: {said.strip()[-300:]}"]
    if "\x1b]0;" in said:
        return ["an escape sequence reached the terminal"]
    if code == 2:
        told = "Error" in said or "Usage" in said
        return [] if told and "Traceback" not in said else [f"no clear refusal: {said[-300:]}"]
    return list(_wrong(case, said, Path(case.arguments[case.arguments.index("--out") + 1])))


def _wrong(case: Case, said: str, out: Path) -> Iterator[str]:
    for path in out.glob("tables/*.json"):
        json.loads(path.read_text(), parse_constant=_refuse)
    table = out / "tables" / "compare.csv"
    if not table.is_file():  # a matrix of layers
        return
    stores = {letter: open_store(out / "activations" / f"{letter}.zarr") for letter in "ab"}
    for letter, side in zip("ab", (case.a, case.b), strict=True):
        yield from _stored(letter, side, stores[letter], case, out)
    shares = pd.read_csv(table).set_index(["target", "source", "subset"])
    peers = pd.read_csv(out / "tables" / "peers.csv").set_index(["target", "source"])
    for source, target in (("a", "b"), ("b", "a")):
        x, y = (_values(stores[letter]) for letter in (source, target))
        yield from _share(x, y, out / "fits" / f"{target}-from-{source}", shares, stores[source])
        yield from _peers(x, y, peers.loc[target, source], stores[source])
    if case.alike and "rounding" not in said.lower():
        found = peers["linear_share_positions"].max()
        rows = stores["a"].rows["subset"].value_counts()["train"]
        units = stores["a"][stores["a"].names[0]].shape[1]
        if rows > 4 * units and found > 0.02:
            yield f"a linear map of the other misses {found} of it"


def _refuse(word: str) -> Any:
    raise ValueError(f"JSON holds {word}")


def _values(store: Store) -> np.ndarray:
    return store[store.names[0]][:].astype(np.float64)


def _stored(letter: str, side: Side, store: Store, case: Case, out: Path) -> Iterator[str]:
    """Compare the stored features with the input of the user."""
    name = store.names[0]
    if "@" in name:
        return
    stored = _values(store)
    if side.rows is not None:
        given = side.rows.astype(np.float64)
        rows = store.rows["image_id"]
        if not rows.str.fullmatch(r"row-\d+").all():
            # with ids, the order of the rows is not known here
            return
        given = given[rows.str.removeprefix("row-").astype(int).to_numpy()]
        fine = np.finfo(np.float16).eps if "float16" in str(store[name].dtype) else 1e-6
        error = np.abs(stored - given).max()
        if error > fine * np.abs(given).max() + 1e-7:
            yield f"{letter}: stored features differ from the file's by {error}"
    elif side.function is not None and side.function not in ("dropout", "training"):
        expected = _by_hook(side.function, letter, name, case, out)
        if expected is None or expected.shape != stored.shape:
            return
        error = np.abs(stored - expected).max() / max(1e-9, np.abs(expected).max())
        # networks of half precision round by themselves
        if error > (0.05 if side.function in ("half", "bfloat16") else 2e-3):
            yield f"{letter}: '{name}' of {side.function} differs from the module's by {error}"


def _by_hook(function: str, letter: str, name: str, case: Case, out: Path) -> np.ndarray | None:
    """Return the output of a module, taken by a plain forward hook."""
    if any(word in case.arguments for word in ("--mean", "--seed")):
        return None
    path = case.arguments[case.arguments.index(f"--{letter}") + 1]
    # the weights are random, with these seeds
    net = read_network(path, None, "ab".index(letter)).model
    net = getattr(net, "module", net) if type(net).__name__ == "DataParallel" else net
    layer = dict(net.named_modules()).get(name)
    if layer is None:
        return None
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda _m, _i, made: seen.append(made.clone()))
    pictures = open_store(out / "pictures.zarr")["image"][:] / 255.0
    normal = (pictures - IMAGENET[0]) / IMAGENET[1]
    kind = next(net.parameters()).dtype
    with torch.no_grad():
        net.eval()(torch.from_numpy(normal).to(kind))
    return seen[0].double().numpy() if seen and isinstance(seen[0], torch.Tensor) else None


def _share(
    x: np.ndarray, y: np.ndarray, folder: Path, shares: pd.DataFrame, store: Store
) -> Iterator[str]:
    """Compare x^Delta and the orders with a plain g in float64."""
    fit = load_fit(folder)
    net, units = fit.net, fit.normalisation
    if net.rank is not None or (x.ndim == 4 and x.shape[2:] != y.shape[2:]):
        return
    target, _, source = folder.name.partition("-from-")
    state = {name: value.double() for name, value in net.state_dict().items()}
    for subset in ("test", "train"):
        rows = (store.rows["subset"] == subset).to_numpy()
        a, b = torch.from_numpy(x[rows]), torch.from_numpy(y[rows])
        with torch.no_grad():
            parts, whole = net.double().components_and_sum(_double(units).source(a))
            weights = [state[f"weights.{k}"] for k in range(net.order + 1)]
            if net.sigma == "dataset":
                plain, _ = plain_g.components(
                    _double(units).source(a), weights, net.gains, state["variance"]
                )
                if not torch.allclose(plain, whole, rtol=1e-6, atol=1e-8):
                    yield "g differs from the plain g"
        given = whole * units.target_std + torch.as_tensor(units.target_mean).double()
        if torch.abs(parts.sum(0) - whole).max() > 1e-6 * max(1e-12, float(whole.abs().max())):
            yield "the orders do not sum to g"
        about = [0] if b.ndim == 2 else [0, 2, 3] if b.ndim == 4 else [0, 1]
        about = about if isinstance(units.target_mean, torch.Tensor) else list(range(b.ndim))
        missed, variance = (float(v.var(about, unbiased=False).mean()) for v in (b - given, b))
        expected = missed / variance if variance else np.nan
        told = float(shares.loc[(target, source, subset), "xdelta"])
        if not np.isclose(told, expected, rtol=5e-3, atol=1e-4, equal_nan=True):
            yield f"{folder.name}, {subset}: xdelta {told}, by numpy {expected}"


def _double(units: Any) -> Any:
    return units._replace(
        **{
            name: value.double() if isinstance(value, torch.Tensor) else value
            for name, value in units._asdict().items()
        }
    )


def _peers(x: np.ndarray, y: np.ndarray, told: "pd.Series[float]", store: Store) -> Iterator[str]:
    test = (store.rows["subset"] == "test").to_numpy()
    if x.ndim != y.ndim or (x.ndim == 4 and x.shape[2:] != y.shape[2:]):
        return
    flat = [plain_similarity.positions(values[test]) for values in (x, y)]
    if len(flat[0]) != len(flat[1]):
        return
    # scaling does not change CKA, and keeps values in the range of float64
    flat = [(v - v.mean(0)) / max(1e-300, float(np.abs(v - v.mean(0)).max())) for v in flat]
    with np.errstate(all="ignore"):
        expected = plain_similarity.debiased_cka(*flat)
    found = float(told["cka_positions"])
    if np.isfinite(expected) and not np.isclose(found, expected, atol=2e-3):
        yield f"cka_positions {found}, by numpy {expected}"
