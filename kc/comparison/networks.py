"""A network from a few words: a name of torchvision's or timm's, or a function in a file."""

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
from kc.comparison.modules import ready, unwrap
from kc.errors import NetworkError
from kc.networks.state import State, read_state
from kc.networks.weights import classes_of, last_layer, load_into, named_as, tensors_of
from kc.plans.commands import command

TIMM = "timm:"
"""Before a name that torchvision has too."""


@dataclass(frozen=True)
class OwnNetwork:
    """A network ready to be looked into, and what it is called in tables."""

    name: str
    model: nn.Module
    weights: str = "as the module holds them"
    """Where its weights are from."""
    files: tuple[Path, ...] = ()
    """What it was read from."""
    shared: bool = True
    """Whether others hold the module too; then kc works on a copy of it."""


def read_network(spec: str, weights: Path | None = None, seed: int = 0) -> OwnNetwork:
    """Make the network a user names, in eval mode on the CPU.

    Parameters
    ----------
    spec
        A classifier of torchvision (``resnet18``), of timm where it is installed (``timm:NAME`` if
        torchvision has that name too), or ``path/file.py:function``: the function is called
        without arguments and gives an ``nn.Module``. **The file is run**: name your own only.
    weights
        A state dict; see :func:`kc.networks.state.read_state`. None: a named network keeps the
        random weights of ``seed``, a function's keeps those it came with. Named networks get as
        many classes as the weights have.
    seed
        Of initial weights; torch's own generator is left as it was.

    Raises
    ------
    NetworkError
        No such name, file or function; the user's code raised; the weights do not fit.
    FeatureError
        The name is that of a file of another kind.
    """
    state = None if weights is None else read_state(weights)  # never empty
    file, _, function = spec.rpartition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if file.endswith(".py"):
            model = unwrap(_from_file(Path(file), function))
            name, kept = f"{Path(file).name}:{function}", "as its function made them"
        else:
            model = _for_weights(spec, state, weights) if state and weights else _builder(spec)()
            name, kept = spec, f"untrained, seed {seed}"
    if state is not None and weights is not None:
        kept = ", ".join(filter(None, (weights.name, load_into(model, state, weights))))
    files = [Path(file)] if file.endswith(".py") else []
    files += [] if weights is None else [weights]
    return OwnNetwork(name, ready(model, name), kept, tuple(files), shared=False)


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
    """Refuse weights that may want their pictures transformed, which no state dict tells."""
    about = "" if any("aux" in key.lower() for key in state) else ", aux_logits=False"
    about += "" if classes is None else f", num_classes={classes}"
    raise NetworkError(
        f"{file}: weights for the bare name {name}, which does not say whether they want their "
        "pictures transformed (transform_input): torchvision's pretrained ones do, those trained "
        "from scratch do not. Fix: name a function in a file of yours, "
        f"return torchvision.models.{name}(init_weights=False, transform_input=True{about}), or "
        "False, and give the weights beside it."
    )


def _builder(name: str) -> Callable[..., nn.Module]:
    """Find a name among torchvision's classifiers, then among timm's."""
    known = models.list_models(module=models)
    if name in known:
        return lambda **about: _checked(_of_torchvision(name, **about), name)
    wanted = name.removeprefix(TIMM)
    there = importlib.util.find_spec("timm") is not None
    timm: Any = importlib.import_module("timm") if there else None
    if there and timm.is_model(wanted):
        return lambda **about: _checked(timm.create_model(wanted, pretrained=False, **about), name)
    if Path(name).exists():
        refuse_kind(Path(name))
    close = difflib.get_close_matches(wanted, known + (timm.list_models() if there else []), n=3)
    where = "torchvision's or timm's" if there else "torchvision's, and timm is not installed"
    raise NetworkError(
        f"'{name}' is no network of {where}; nearest: {', '.join(close) or 'none'}. "
        "Fix: mend the name, or name a function (path/file.py:function)"
        f"{'.' if there else ', or: ' + command('pip', 'install', 'timm')}"
    )


def _of_torchvision(name: str, **about: Any) -> nn.Module:
    with warnings.catch_warnings():
        # of how long some take to draw their first weights
        warnings.simplefilter("ignore", FutureWarning)
        model: nn.Module = models.get_model(name, weights=None, **about)
    return model


def _from_file(file: Path, function: str) -> nn.Module:
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected path/file.py:function")
    with _importable_beside(file):
        module = _called(file, "the file", lambda: _run(file))
        make = getattr(module, function, None)
        if isinstance(make, nn.Module):
            return make
        if not callable(make):
            there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            close = difflib.get_close_matches(function, there, n=3, cutoff=0.3)
            raise NetworkError(
                f"{file}: no function '{function}' in it; nearest: {', '.join(close) or 'none'}. "
                f"Expected one that gives the network, named as {file.name}:function"
            )
        return _checked(_called(file, f"{function}()", make), f"{file}:{function}")


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
    """Let a user's file import those beside it, and forget them afterwards.

    Two versions of one project, each with its own ``layers.py``, must not share the first's.
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
    """Return whether ``top.py`` or ``top/`` is the user's, not a library installed below it."""
    if origin is None or not Path(origin).resolve().is_relative_to(folder):
        return False
    return Path(origin).resolve().relative_to(folder).parts[0] in (f"{top}.py", top)


def _called(file: Path, what: str, call: Callable[[], Any]) -> Any:
    """Run the user's code; say where in it an error came up, instead of a traceback of ours."""
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


def _checked(model: Any, name: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise NetworkError(
            f"{name} gives a {type(model).__name__}, expected an nn.Module. Fix: "
            "return the network alone."
        )
    return model
