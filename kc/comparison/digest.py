"""Hash everything a network's features depend on, except the picture."""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache, partial
from itertools import chain
from types import CodeType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
import xxhash
from torch import Tensor, fx, nn

from kc.comparison.networks import OwnNetwork
from kc.files.user_code import is_library

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, np.generic)
DUNDER = re.compile(r"__.*__$")
ADDRESS = re.compile(r"0x[0-9a-f]+")
OF_ANY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that every module has, or that are hashed as its state."""
OF_ANY_GRAPH = frozenset(vars(fx.GraphModule({}, fx.Graph())))
"""Attributes that hold the graph, which is hashed separately."""
_Seen = dict[int, object]
"""Objects that were already hashed, kept so that no other object gets their id."""


def network_digest(
    network: OwnNetwork,
    extractor: nn.Module,
    graph: fx.Graph | None,
    features: Mapping[str, Tensor],
) -> str:
    """Hash a network: graph, modules, state, wrapped functions, and its features of an example.

    ``graph`` is the extractor's without the nodes that kc added, which contain paths of kc's code.
    Without a graph (by hooks) the user's code is hashed: the methods of its modules, and what they
    use.

    The graph does not show what functions under ``torch.fx.wrap`` do, and the state not the
    tensors and numbers kept as attributes; both are hashed too. ``features``, of a fixed example,
    cover everything else, such as a custom operator in C++.
    """
    found = xxhash.xxh3_128()
    parts = _of_hooks(network) if graph is None else _of_graph(network, extractor, graph)
    for part in chain(parts, _spelled(dict(features), {})):
        found.update(ADDRESS.sub("", part).encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return str(found.hexdigest())


def _of_graph(network: OwnNetwork, extractor: nn.Module, graph: fx.Graph) -> Iterator[str | bytes]:
    yield from (graph.python_code("self").src, repr(network.model))
    seen: _Seen = {}
    yield from _of_module(network.model, seen)
    yield from _of_module(extractor, seen, OF_ANY_GRAPH)
    for node in graph.nodes:
        if node.op == "call_function":
            yield from _spelled(node.target, seen)


def _of_hooks(network: OwnNetwork) -> Iterator[str | bytes]:
    yield repr(network.model)
    seen: _Seen = {}
    yield from _of_module(network.model, seen)
    for module in network.model.modules():
        yield from _spelled(type(module), seen)
    yield from _spelled(network.run, seen)


def _of_module(
    model: nn.Module, seen: _Seen, left_out: frozenset[str] = frozenset()
) -> Iterator[str | bytes]:
    """Format all modules; of the outermost one without the attributes ``left_out``."""
    for name, module in model.named_modules():
        yield name
        state = dict(module.named_parameters(recurse=False)) | dict(
            module.named_buffers(recurse=False)
        )
        known = OF_ANY_MODULE if name else OF_ANY_MODULE | left_out
        own = {k: v for k, v in vars(module).items() if k not in known}
        yield from _spelled(state | {key: own[key] for key in sorted(own)}, seen)
        hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
        yield from _each(hooks, seen)


def _spelled(value: object, seen: _Seen) -> Iterator[str | bytes]:
    """Format a value down to its tensors and numbers; of other objects only the type."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    if isinstance(value, (Tensor, np.ndarray)):
        yield from _of_numbers(value)
        return
    if isinstance(value, type):
        yield f"{value.__module__}.{value.__qualname__}"
        yield from _of_class(value, seen)
        return
    yield type(value).__name__
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, Mapping):
        yield from _each((part for pair in value.items() for part in pair), seen)
    elif isinstance(value, (list, tuple)):
        yield from _each(value, seen)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(map(repr, value))
    elif isinstance(value, nn.Module):
        yield from (repr(value), *_of_module(value, seen))
    elif isinstance(value, partial):
        yield from _each((value.func, value.args, value.keywords), seen)
    elif isinstance(value, MethodType):
        yield from _each((value.__func__, value.__self__), seen)
    elif callable(value):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if isinstance(value, FunctionType) and not is_library(value.__code__.co_filename):
            yield from _of_function(value, seen)
        # a library's decorator around a user's function, such as torch.no_grad
        inner = getattr(value, "__wrapped__", None)
        if isinstance(inner, FunctionType):
            yield from _spelled(inner, seen)
    yield from _of_class(type(value), seen)
    if _is_plain(value):
        yield from _spelled(dict(sorted(vars(value).items())), seen)


def _is_plain(value: object) -> bool:
    """Return whether an object is what its attributes say: a configuration, a user's object."""
    if isinstance(value, (nn.Module, ModuleType)) or not hasattr(value, "__dict__"):
        return False
    kind = type(value)
    is_config = is_dataclass(value) or kind.__name__.endswith(("Config", "Namespace"))
    return is_config or _is_users(kind)


def _is_users(kind: type) -> bool:
    """Return whether a class is defined in a user's file."""
    codes = (v.__code__.co_filename for v in vars(kind).values() if isinstance(v, FunctionType))
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return any(not _is_installed(each) for each in (file, *codes) if each is not None)


@cache
def _is_installed(file: str) -> bool:
    return is_library(file)


def _is_users_file(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and not is_library(file)


def _of_class(kind: type, seen: _Seen) -> Iterator[str | bytes]:
    """Format the methods and constants of a user's class and of its bases."""
    for each in kind.__mro__:
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if not _is_users(each):
            continue
        yield f"{each.__module__}.{each.__qualname__}"
        for name, value in sorted(vars(each).items()):
            # what __init__ makes is in the attributes
            if name != "__init__" and (isinstance(value, FunctionType) or not DUNDER.match(name)):
                yield name
                yield from _spelled(_behind(value), seen)


def _behind(value: object) -> object:
    """Return the function of a property, a static or a class method."""
    return value.fget if isinstance(value, property) else getattr(value, "__func__", value)


def _each(values: Iterable[object], seen: _Seen) -> Iterator[str | bytes]:
    for value in values:
        yield from _spelled(value, seen)


def _of_numbers(value: Tensor | np.ndarray) -> Iterator[str | bytes]:
    yield f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        yield repr(value.tolist()) if value.dtype.hasobject else value.tobytes()
        return
    whole = value.detach().cpu()
    whole = (whole.to_dense() if whole.layout != torch.strided else whole).contiguous().reshape(-1)
    whole = whole.int_repr() if whole.is_quantized else whole.resolve_conj().resolve_neg()
    yield hashlib.sha256(whole.view(torch.uint8).numpy()).digest()


def _of_function(function: FunctionType, seen: _Seen) -> Iterator[str | bytes]:
    """Format a user's function: its code and the values of the names it uses."""
    yield from _of_code(function.__code__)
    yield from _spelled(function.__defaults__, seen)
    yield from _spelled(function.__kwdefaults__, seen)
    yield from _each((cell.cell_contents for cell in function.__closure__ or ()), seen)
    names = _names(function.__code__)
    for name in names:
        if name in function.__globals__:
            yield name
            found = function.__globals__[name]
            yield from _spelled(found, seen)
            if isinstance(found, ModuleType) and _is_users_file(found):
                # such as layers.block(x)
                yield from _each((vars(found)[n] for n in names if n in vars(found)), seen)


def _names(code: CodeType) -> list[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return sorted({*code.co_names, *(name for each in inner for name in _names(each))})


def _of_code(code: CodeType) -> Iterator[str | bytes]:
    yield from (code.co_code, repr(code.co_names))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        elif isinstance(constant, frozenset):
            # in an order that does not change from run to run
            yield from sorted(map(repr, constant))
        else:
            yield repr(constant)
