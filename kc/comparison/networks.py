"""Build a network from a library's name with its weights, or from a function in a file."""

import difflib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from kc.comparison.libraries import NamedNetwork, brings_code, load_from, named
from kc.comparison.loading import Loaded
from kc.comparison.modules import Made, made_by_user, ready, run_plainly, unwrap
from kc.errors import NetworkError, SettingsError
from kc.networks.hooks import RunNetwork
from kc.networks.state import read_state
from kc.networks.weights import load_into
from kc.settings.custom import MapLayout
from kc.settings.preparation import Preparation, Prepare

USUAL = Prepare()


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
    prepared: Preparation | None = None
    """How its pictures are prepared, as its weights say; None: they do not say."""
    asked: Prepare = USUAL
    """What is asked for instead, on this side."""
    is_told: bool = True
    """Whether ``prepared`` holds, or the usual; False: others trained it, and nothing says how."""
    run: RunNetwork = run_plainly
    """Runs the module on pictures."""
    layout: MapLayout = "auto"
    """How its maps are read: (channels, y, x), (y, x, channels), or as the network tells."""


def read_network(
    spec: str,
    weights: Path | None = None,
    seed: int = 0,
    untrained: bool = False,
    remote_code: bool = False,
    size: int | None = None,
) -> OwnNetwork:
    """Build the network a user names, in eval mode on the CPU.

    Parameters
    ----------
    spec
        ``torchvision:NAME/WEIGHTS`` (``DEFAULT``: the best); ``timm:NAME.TAG``, if timm is
        installed; ``hf:ORG/MODEL`` or ``hf:FOLDER``, if transformers is; ``hub:OWNER/REPO:ENTRY``
        (torch.hub); or ``path/file.py:function``: the function is called without arguments and
        returns an ``nn.Module``, or with it a function that runs it, ``(network, call)`` with
        ``call(network, pictures)``, and a dict that says how its pictures are prepared. **The file
        is run**: name only your own. A bare NAME is one of torchvision, else of timm. Weights come
        from the libraries' own caches, or are downloaded.
    weights
        A state dict; see :func:`kc.networks.state.read_state`. Named networks get as many classes
        as the weights have; they may name no other weights.
    seed
        Of random weights; torch's global generator is not changed.
    untrained
        Let a name without weights have random ones; the network's name then has the seed.
    remote_code
        Run code that comes from a repository (``hub:``, some ``hf:``).
    size
        Side of its pictures, px, where another than the weights' is wanted.

    Raises
    ------
    NetworkError
        The name, file or function does not exist, no weights are named, they are missing or do not
        fit, or the user's code raised.
    FeatureError
        The name is that of a file of another kind.
    """
    state = None if weights is None else read_state(weights)  # never empty
    file, _, function = spec.rpartition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if file.endswith(".py"):
            model, call, prepared = _from_file(Path(file), function)
            files: tuple[Path, ...] = (Path(file),)
            found = Loaded(unwrap(model), "as its function made them", files, prepared)
            name = f"{Path(file).name}:{function}"
        else:
            wanted = NamedNetwork(spec, remote_code, size)
            found, name = named(wanted, state, weights, untrained), spec
            call = run_plainly
    kept = found.weights
    if not kept and state is None:
        name, kept = f"{spec} (untrained, seed {seed})", f"untrained, seed {seed}"
    if state is not None and weights is not None:
        kept = ", ".join(filter(None, (weights.name, load_into(found.model, state, weights))))
    files = (*found.files, *(() if weights is None else (weights,)))
    name = f"{name}:{found.part}" if found.part else name
    is_told = found.prepared is not None or not found.is_of_others
    return OwnNetwork(
        name,
        ready(found.model, name),
        kept,
        files,
        shared=False,
        prepared=found.prepared,
        is_told=is_told,
        run=call,
    )


def preparation_of(
    letter: str, network: OwnNetwork, look: Prepare, of_option: str | None = None
) -> Preparation:
    """Return how a side's pictures are prepared; ``look``: what is asked for on both sides.

    ``of_option``: end of the names of its options in errors; None: its letter.

    Raises
    ------
    NetworkError
        Others trained the network, and neither its files nor the user say how.
    SettingsError
        What is asked for does not fit together.
    """
    names = ("size", "mean", "std")
    missing = [n for n in names if getattr(network.asked, n) is None and getattr(look, n) is None]
    if missing and not network.is_told:
        end = f"-{letter}" if of_option is None else of_option
        options = ", ".join(f"--{name}{end}" for name in missing)
        raise NetworkError(
            f"{network.name}: nothing says how its pictures are prepared (it has no image "
            f"processor's preprocessor_config.json). Fix: {options}, as it was trained with"
        )
    try:
        return Preparation.of(network.prepared, look, network.asked)
    except ValidationError as error:
        told = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{letter}: {network.name}: {told}") from None


def outline(spec: str, remote_code: bool = False, size: int | None = None) -> OwnNetwork:
    """Build the network a user names to list its layers: without loading weights it names."""
    if spec.rpartition(":")[0].endswith(".py") or brings_code(spec):
        return read_network(spec, remote_code=remote_code)
    found = load_from(NamedNetwork(spec, remote_code, size), load=False)
    return OwnNetwork(spec, ready(found.model, spec), shared=False, prepared=found.prepared)


def _from_file(file: Path, function: str) -> Made:
    if not file.is_file():
        raise NetworkError(f"{file}: no such file; expected path/file.py:function")
    with _importable_beside(file):
        module = _called(file, "the file", lambda: _run(file))
        make = getattr(module, function, None)
        if isinstance(make, nn.Module):
            return Made(make)
        if not callable(make):
            there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
            close = difflib.get_close_matches(function, there, n=3, cutoff=0.3)
            raise NetworkError(
                f"{file}: no function '{function}' in it; nearest: {', '.join(close) or 'none'}. "
                f"Expected one that gives the network, named as {file.name}:function"
            )
        return made_by_user(_called(file, f"{function}()", make), f"{file}:{function}")


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
