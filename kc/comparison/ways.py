"""Choose how a network is tapped: by its traced graph, or by hooks on its modules."""

import logging
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, fx, nn

from kc.comparison.intake import tensors_in
from kc.comparison.modules import run_plainly
from kc.comparison.networks import OwnNetwork
from kc.comparison.running import run
from kc.errors import KCError, NetworkError
from kc.networks.hooks import without_fastpath
from kc.networks.tap import whole_graph
from kc.settings.custom import Tapping

LOG = logging.getLogger(__name__)
FIXED = "F.dropout(x, p, training=self.training), and nothing drawn or counted in forward"


class Way(NamedTuple):
    """How all layers of a network are tapped."""

    how: Literal["graph", "hooks"]
    why: str = ""
    """Why not by the graph, if hooks were not requested."""

    @property
    def word(self) -> str:
        """What a layer is, for messages."""
        return "node" if self.how == "graph" else "layer"

    @property
    def told(self) -> str:
        """Describe the way; empty for the graph."""
        if self.how == "graph":
            return ""
        return f"tapped by hooks{f': {self.why}' if self.why else ''}"


def way_of(network: OwnNetwork, how: Tapping, pictures: Tensor) -> Way:
    """Choose the way; ``auto`` takes the graph if it gives the network's outputs.

    Raises
    ------
    NetworkError
        The graph was requested, and the network cannot be traced, its graph gives other outputs,
        or a function of the user runs it.
    """
    if how == "hooks":
        return Way("hooks")
    fault = _fault_of_graph(network, pictures)
    if fault is None:
        return Way("graph")
    why, error = fault
    if how == "graph":
        raise error
    LOG.info("%s: tapped by hooks, not by its graph: %s", network.name, error)
    return Way("hooks", why)


def traced[R](network: OwnNetwork, trace: Callable[[nn.Module], R]) -> R:
    """Trace the network, without torchvision's warning about training mode.

    Raises
    ------
    NetworkError
        It cannot be traced.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return trace(network.model)
    except KCError:
        raise
    # tracing runs the user's own forward
    except Exception as error:
        raise NetworkError(
            f"{network.name}: torch.fx cannot trace it ({type(error).__name__}: {error!s:.300}). "
            "Its forward branches on values (an if, an assert), or does what cannot be traced, "
            "such as x[:, 0] = y. Fix: --tap hooks, or wrap that part in a function marked with "
            "torch.fx.wrap.",
        ) from error


def forward(network: OwnNetwork, model: nn.Module, pictures: Tensor, seed: int = 0) -> Any:
    """Run a traced graph, or the network with hooks, on pictures that the network takes.

    Raises
    ------
    NetworkError
        It does not run.
    """
    with torch.inference_mode(), without_fastpath(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return model(pictures)
        except NetworkError as error:
            raise NetworkError(f"{network.name}: {error}") from error
        except Exception as error:
            told = f"({type(error).__name__}: {error!s:.300})"
            if not isinstance(model, fx.GraphModule):
                raise NetworkError(
                    f"{network.name}: takes one batch of pictures, and not the next {told}. Fix: "
                    "let it take any batch (n, 3, y, x) of this size."
                ) from error
            raise NetworkError(
                f"{network.name}: the network takes pictures of {pictures.shape[-1]} px, its graph "
                f"as torch.fx traces it does not {told}. Fix: --tap hooks, or wrap the part that "
                "looks at values in a function marked with torch.fx.wrap.",
            ) from error


def are_alike(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are equal up to rounding."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    rtol = max(1e-3, 8 * torch.finfo(one.dtype).eps)
    return torch.allclose(one, other, rtol=rtol, atol=rtol / 100, equal_nan=True)


def _fault_of_graph(network: OwnNetwork, pictures: Tensor) -> tuple[str, NetworkError] | None:
    """Return why the graph cannot be used, in short and as an error; None if it can.

    An in-place operation whose result is not used (``F.relu_(x)`` on a separate line) is lost in
    the graph of an extractor, which then gives other outputs than the network.
    """
    name = network.name
    if network.run is not run_plainly:
        return "a function runs it", NetworkError(
            f"{name}: a function of yours runs it, which the graph does not show. Fix: --tap hooks."
        )
    try:
        graph = traced(network, whole_graph)
    except NetworkError as error:
        return "torch.fx cannot trace it", error
    try:
        given = tensors_in(forward(network, graph, pictures))
    except NetworkError as error:
        return "its graph does not take the pictures", error
    plain = tensors_in(run(network, pictures))
    if not plain:
        return "it gives no tensor by which its graph could be checked", NetworkError(
            f"{name}: gives no tensor by which its graph could be checked. Fix: --tap hooks, or "
            "let it return tensors, or tuples, lists or dicts of them."
        )
    if _are_all_alike(given, plain):
        return None
    if not _are_all_alike(tensors_in(run(network, pictures, seed=1)), plain):
        return "it gives other outputs each time", NetworkError(
            f"{name}: gives other outputs each time, in eval mode: it draws random numbers, or "
            f"counts its calls. Fix: {FIXED}; or --tap hooks and a layer before that."
        )
    return "its graph gives other outputs", NetworkError(
        f"{name}: its graph as torch.fx traces it gives other outputs than the network (a line "
        "such as F.relu_(x), whose result is not used, is lost; so are hooks on the whole network, "
        "and a forward set on the object). Fix: --tap hooks, or write x = F.relu(x), and hooks as "
        "lines of forward."
    )


def _are_all_alike(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(are_alike, some, others))
