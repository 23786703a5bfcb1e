"""Hash everything a network's features depend on, except the picture."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType

import numpy as np
import torch
import xxhash
from torch import Tensor, fx, nn

from kc.files.user_code import is_library

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, np.generic)
ADDRESS = re.compile(r"0x[0-9a-f]+")
OF_ANY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that every module has, or that are hashed as its state."""
OF_ANY_GRAPH = frozenset(vars(fx.GraphModule({}, fx.Graph())))
"""Attributes that hold the graph, which is hashed separately."""
_Seen = dict[int, object]
"""Objects that were already hashed, kept so that no other object gets their id."""


def network_digest(
    model: nn.Module, extractor: fx.GraphModule, graph: fx.Graph, features: Mapping[str, Tensor]
) -> str:
    """Hash a network: graph, modules, state, wrapped functions, and its features of an example.

    ``graph`` is the extractor's without the nodes that kc added, which contain paths of kc's code.

    The graph does not show what functions under ``torch.fx.wrap`` do, and the state not the
    tensors and numbers kept as attributes; both are hashed too. ``features``, of a fixed example,
    cover everything else, such as a custom operator in C++.
    """
    found = xxhash.xxh3_128()
    for part in _parts(model, extractor, graph, features):
        found.update(ADDRESS.sub("", part).encode() if isinstance(part, str) else part)
        found.update(b"\0")
    return str(found.hexdigest())


def _parts(
    model: nn.Module, extractor: fx.GraphModule, graph: fx.Graph, features: Mapping[str, Tensor]
) -> Iterator[str | bytes]:
    yield from (graph.python_code("self").src, repr(model))
    seen: _Seen = {}
    yield from _of_module(model, seen)
    yield from _of_module(extractor, seen, OF_ANY_GRAPH)
    for node in graph.nodes:
        if node.op == "call_function":
            yield from _spelled(node.target, seen)
    yield from _spelled(dict(features), seen)


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


def _spelled(value: object, seen: _Seen) -> Iterator[str | bytes]:
    """Format a value down to its tensors and numbers; of other objects only the type."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    if isinstance(value, (Tensor, np.ndarray)):
        yield from _of_numbers(value)
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
    elif callable(value):
        yield f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
        if isinstance(value, FunctionType) and not is_library(value.__code__.co_filename):
            yield from _of_function(value, seen)


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
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield name
            yield from _spelled(function.__globals__[name], seen)


def _names(code: CodeType) -> list[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return sorted({*code.co_names, *(name for each in inner for name in _names(each))})


def _of_code(code: CodeType) -> Iterator[str | bytes]:
    yield from (code.co_code, repr(code.co_names))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _of_code(constant)
        else:
            yield repr(constant)
