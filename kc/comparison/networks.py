"""Build a network from a name of torchvision or timm, or from a function in a file."""

import difflib
import importlib
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torchvision import models

from kc.comparison.kinds import refuse_kind
from kc.comparison.modules import ready, run_plainly, unwrap, with_run
from kc.errors import NetworkError
from kc.networks.hooks import RunNetwork
from kc.networks.state import State, read_state
from kc.networks.weights import classes_of, last_layer, load_into, named_as, tensors_of
from kc.plans.commands import command
from kc.settings.custom import MapLayout

TIMM = "timm:"
"""Prefix of a timm name that torchvision also has."""


@dataclass(frozen=True)
class OwnNetwork:
    """A network that can be tapped, and its name in tables."""

    name: str
    model: nn.Module
    weights: str = "as the module holds them"
    """Origin of its weights."""
    files: tuple[Path, ...] = ()
    """Files it was read from."""
    shared: bool = True
    """Whether the user also holds the module; then kc works on a copy."""
    run: RunNetwork = run_plainly
    """Runs the module on pictures."""
    layout: MapLayout = "auto"
    """How its maps are read: (channels, y, x), (y, x, channels), or as the network tells."""


def read_network(spec: str, weights: Path | None = None, seed: int = 0) -> OwnNetwork:
    """Build the network a user names, in eval mode on the CPU.

    Parameters
    ----------
    spec
        A classifier of torchvision (``resnet18``), of timm if it is installed (``timm:NAME`` if
        torchvision also has that name), or ``path/file.py:function``: the function is called
        without arguments and returns an ``nn.Module``, or with it a function that runs it,
        ``(network, call)`` with ``call(network, pictures)``. **The file is run**: name only your
        own.
    weights
        A state dict; see :func:`kc.networks.state.read_state`. None: a named network keeps the
        random weights of ``seed``, a function's network its own. Named networks get as many
        classes as the weights have.
    seed
        Of initial weights; torch's global generator is not changed.

    Raises
    ------
    NetworkError
        The name, file or function does not exist, the user's code raised, or the weights do not
        fit.
    FeatureError
        The name is that of a file of another kind.
    """
    state = None if weights is None else read_state(weights)  # never empty
    file, _, function = spec.rpartition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if file.endswith(".py"):
            model, call = _from_file(Path(file), function)
            model = unwrap(model)
            name, kept = f"{Path(file).name}:{function}", "as its function made them"
        else:
            model = _for_weights(spec, state, weights) if state and weights else _builder(spec)()
            call = run_plainly
            name, kept = spec, f"untrained, seed {seed}"
    if state is not None and weights is not None:
        kept = ", ".join(filter(None, (weights.name, load_into(model, state, weights))))
    files = [Path(file)] if file.endswith(".py") else []
    files += [] if weights is None else [weights]
    return OwnNetwork(name, ready(model, name), kept, tuple(files), shared=False, run=call)


def _for_weights(name: str, state: State, file: Path) -> nn.Module:
    """Build a named network with as many classes as its weights have."""
    build = _builder(name)
    model = build()
    own = tensors_of(model)
    state = named_as(own, state, file, last_layer(own))
    classes = classes_of(state, own)
    if hasattr(model, "transform_input"):
        _refuse_transform(name, state, file, classes)
    return model if classes in (None, len(list(own.values())[-1])) else build(num_classes=classes)


def _refuse_transform(name: str, state: State, file: Path, classes: int | None) -> None:
    """Refuse weights that may need transformed pictures, which a state dict does not show."""
    about = "" if any("aux" in key.lower() for key in state) else ", aux_logits=False"
    about += "" if classes is None else f", num_classes={classes}"
    raise NetworkError(
        f"{file}: weights for the bare name {name}, which does not say whether they need their "
        "pictures transformed (transform_input): torchvision's pretrained ones do, those trained "
        "from scratch do not. Fix: name a function in your own file, "
        f"return torchvision.models.{name}(init_weights=False, transform_input=True{about}), or "
        "False, and give the weights with it."
    )


def _builder(name: str) -> Callable[..., nn.Module]:
    """Find a name among torchvision's classifiers, then among timm's."""
    known = models.list_models(module=models)
    if name in known:
        return lambda **about: _of_torchvision(name, **about)
    wanted = name.removeprefix(TIMM)
    there = importlib.util.find_spec("timm") is not None
    timm: Any = importlib.import_module("timm") if there else None
    if there and timm.is_model(wanted):
        return lambda **about: timm.create_model(wanted, pretrained=False, **about)
    if Path(name).exists():
        refuse_kind(Path(name))
    close = difflib.get_close_matches(wanted, known + (timm.list_models() if there else []), n=3)
    where = "torchvision's or timm's" if there else "torchvision's, and timm is not installed"
    raise NetworkError(
        f"'{name}' is no network of {where}; nearest: {', '.join(close) or 'none'}. "
        "Fix: correct the name, or name a function (path/file.py:function)"
        f"{'.' if there else ', or: ' + command('pip', 'install', 'timm')}"
    )


def _of_torchvision(name: str, **about: Any) -> nn.Module:
    with warnings.catch_warnings():
        # torchvision warns that some initialisations are slow
        warnings.simplefilter("ignore", FutureWarning)
        model: nn.Module = models.get_model(name, weights=None, **about)
    return model


def _from_file(file: Path, function: str) -> tuple[nn.Module, RunNetwork]:
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected path/file.py:function")
    with _importable_beside(file):
        module = _called(file, "the file", lambda: _run(file))
        make = getattr(module, function, None)
        if isinstance(make, nn.Module):
            return make, run_plainly
        if not callable(make):
            there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            close = difflib.get_close_matches(function, there, n=3, cutoff=0.3)
            raise NetworkError(
                f"{file}: no function '{function}' in it; nearest: {', '.join(close) or 'none'}. "
                f"Expected one that gives the network, named as {file.name}:function"
            )
        return with_run(_called(file, f"{function}()", make), f"{file}:{function}")


def _run(file: Path) -> ModuleType:
    about = importlib.util.spec_from_file_location(f"kc_own_{file.stem}", file)
    assert about is not None
    assert about.loader is not None
    module = importlib.util.module_from_spec(about)
    sys.modules[about.name] = module
    about.loader.exec_module(module)
    return module


@contextmanager
def _importable_beside(file: Path) -> Iterator[None]:
    """Let a user's file import files of its folder, and forget them afterwards.

    Two versions of a project, each with its own ``layers.py``, must not share the first one.
    """
    folder, before = file.resolve().parent, {name.partition(".")[0] for name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            top = name.partition(".")[0]
            if top not in before and _is_beside(folder, top, getattr(module, "__file__", None)):
                del sys.modules[name]


def _is_beside(folder: Path, top: str, origin: str | None) -> bool:
    """Return whether ``top.py`` or ``top/`` is in the folder, not a library installed below."""
    if origin is None or not Path(origin).resolve().is_relative_to(folder):
        return False
    return Path(origin).resolve().relative_to(folder).parts[0] in (f"{top}.py", top)


def _called(file: Path, what: str, call: Callable[[], Any]) -> Any:
    """Run the user's code; on an error name its line in that code, without a traceback of kc."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        last = [frame for frame in frames if Path(frame.filename).resolve() == file.resolve()]
        line = f"line {last[-1].lineno}: " if last else ""
        raise NetworkError(
            f"{file}: {line}{what} raised {type(error).__name__}: {error}. Fix: try it in Python: "
            "the function must run without arguments and give the network."
        ) from error
