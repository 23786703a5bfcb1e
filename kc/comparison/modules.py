"""Copy the modules of users and take them out of their wrappers."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_leaves

from kc.errors import NetworkError
from kc.networks.hooks import RunNetwork
from kc.settings.preparation import Preparation, Prepare


def run_plainly(model: nn.Module, pictures: Tensor) -> Any:
    """Call a network with pictures alone."""
    return model(pictures)


class Made(NamedTuple):
    """What a user's function made."""

    model: nn.Module
    run: RunNetwork = run_plainly
    prepared: Preparation | None = None
    """How its pictures are prepared, if the function says so."""


def made_by_user(made: Any, name: str) -> Made:
    """Read what a user's function returned: a network, and what else it says.

    Raises
    ------
    NetworkError
        It returned neither a network nor a tuple of it, ``call``, and how pictures are prepared.
    """
    model, *rest = made if isinstance(made, tuple) and made else (made,)
    # a module after the first would be a second network
    calls = [one for one in rest if callable(one) and not isinstance(one, nn.Module)]
    told = [one for one in rest if isinstance(one, Mapping)]
    fits = len(calls) < 2 and len(told) < 2 and len(rest) == len(calls) + len(told)
    if not isinstance(model, nn.Module) or not fits:
        raise NetworkError(
            f"{name} gives a {type(made).__name__}, expected an nn.Module. Fix: return the network "
            "alone, or (network, call), where call(network, pictures) runs it; a dict after them "
            'says how pictures are prepared, {"size": 224, "resize": 256, "aspect": "keep"}.'
        )
    return Made(model, calls[0] if calls else run_plainly, _prepared(told, name))


def _prepared(told: Sequence[Mapping[str, Any]], name: str) -> Preparation | None:
    if not told:
        return None
    try:
        return Preparation.of(None, Prepare.model_validate(dict(told[0])))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        message = fault["msg"].removeprefix("Value error, ")
        raise NetworkError(
            f"{name}: how its pictures are prepared: {f'{where}: ' if where else ''}{message}. "
            f"Fix: correct the dict; its keys are {', '.join(Prepare.model_fields)}"
        ) from None


def copy_of(module: nn.Module, name: str) -> nn.Module:
    """Copy a network without its wrappers, in eval mode; the user's network is not changed.

    Raises
    ------
    NetworkError
        The network cannot be copied; or as :func:`ready`.
    """
    try:
        copied = deepcopy(module)
    except Exception:
        try:
            copied = _rebuilt(module)
        except Exception as error:
            raise NetworkError(
                f"{name}: cannot be copied ({type(error).__name__}: {error!s:.300}); kc works on a "
                "copy, so that yours is not changed. Fix: name a function that makes it, "
                "kc.read_network('FILE.py:FUNCTION')."
            ) from error
    return ready(unwrap(copied), name)


def _rebuilt(module: nn.Module) -> nn.Module:
    """Copy a network part by part, without what its classes do on a copy.

    Objects that cannot be copied are shared; all modules and weights are new.
    """
    new = {id(part): object.__new__(type(part)) for part in module.modules()}
    memo: dict[int, Any] = {**dict(_uncopied(module)), **new}
    for part in module.modules():
        new[id(part)].__dict__.update(
            {name: deepcopy(kept, memo) for name, kept in vars(part).items()}
        )
    return new[id(module)]


def _uncopied(module: nn.Module) -> Iterator[tuple[int, object]]:
    """Return, for each object that deepcopy refuses, its id and its replacement in a copy.

    Tensors with a gradient history (outputs kept as attributes, a weight under weight norm) are
    copied without it; locks, files and similar objects are shared.
    """
    for part in module.modules():
        for kept in tree_leaves(dict(vars(part))):
            if isinstance(kept, Tensor):
                if not kept.is_leaf:
                    yield id(kept), kept.detach().clone()
            elif not isinstance(kept, nn.Module):
                try:
                    deepcopy(kept)
                except Exception:
                    yield id(kept), kept


def unwrap(model: nn.Module) -> nn.Module:
    """Take a network and all its parts out of DataParallel and torch.compile."""
    model = _inner(model)
    for part in list(model.modules()):
        part._compiled_call_impl = None
        for child, module in list(part.named_children()):
            if _inner(module) is not module:
                part.add_module(child, _inner(module))
    return model


def ready(model: nn.Module, name: str) -> nn.Module:
    """Check that a network can run and be tapped, and set it to eval mode.

    Raises
    ------
    NetworkError
        The network is TorchScript, or some of its parameters have no values.
    """
    if isinstance(model, torch.jit.ScriptModule):
        raise NetworkError(
            f"{name}: is compiled to TorchScript, whose layers cannot be tapped. Fix: give the "
            "nn.Module it was made from, with its weights, model.state_dict()."
        )
    for key, value in chain(model.named_parameters(), model.named_buffers()):
        if is_lazy(value) or value.device.type == "meta":
            raise NetworkError(
                f"{name}: '{key}' has no numbers ({type(value).__name__} on {value.device}); "
                "expected a network that is ready to run. Fix: call a lazy module once, "
                "net(torch.zeros(2, 3, 224, 224)); make one of the device 'meta' on the cpu."
            )
    return model.eval()


def _inner(module: nn.Module) -> nn.Module:
    """Return the module inside a wrapper; return any other module unchanged."""
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = module.module
        if not isinstance(inner, nn.Module):
            return module
        module = inner
