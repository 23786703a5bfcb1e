"""AdamW without a schedule: at any step, the weights to keep are an average of the path.

Defazio et al., The Road Less Scheduled (2024), Eqs. (3)-(5). A schedule that ends makes every fit
look finished; without one, a constant validation error means that the fit is finished.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kc.consistency.basis import Basis

BETAS = (0.9, 0.999)
"""Weight of the average in y, and decay of the mean of squared gradients."""
WARM_UP = 20
"""Steps over which the rate grows; steps at a small rate have a small weight in the average."""
EPSILON = 1e-8
COUNTERS = ("step", "weights")
"""Entries of a parameter's state that are numbers, kept on the CPU."""


class ScheduleFree(torch.optim.Optimizer):
    r"""Step z by AdamW from gradients at y, between z and the average x of all z.

    .. math::
        y_t = (1 - \beta) z_t + \beta x_t, \qquad
        z_{t+1} = z_t - \gamma_t \big( \hat g(y_t) + \lambda y_t \big), \qquad
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}

    The weights c of the average grow with the step, so that early steps are forgotten sooner.
    Parameters hold y; :meth:`keep_average` replaces them by x. If a parameter has a basis, x, y
    and z are in it.

    Parameters
    ----------
    groups
        Parameter groups as for torch's optimisers, each with ``lr`` and ``weight_decay``.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def begin(self, bases: Mapping[Tensor, Basis]) -> None:
        """Clear the state, and begin a new average at the current parameters."""
        self.state.clear()
        for group in self.param_groups:
            for values in group["params"]:
                state = self.state[values]
                begun = values.detach().clone()
                if values in bases:
                    # copy: saved state must not share memory
                    state |= {n: f.clone() for n, f in bases[values]._asdict().items()}
                    begun = bases[values].inverse.apply(begun)
                state |= {name: torch.zeros(()) for name in COUNTERS}
                state |= {"squares": torch.zeros_like(values), "z": begun, "x": begun.clone()}

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Take one step from the gradients at y."""
        for group in self.param_groups:
            for values in group["params"]:
                state = self.state[values]
                state["step"] += 1
                count = int(state["step"])
                warm = min(1.0, count / WARM_UP)
                state["weights"] += count * warm**2
                direction = _direction(state["squares"], _in_basis(state, values.grad), count)
                direction.add_(_between(state), alpha=group["weight_decay"])
                state["z"].sub_(direction, alpha=group["lr"] * warm)
                state["x"].lerp_(state["z"], count * warm**2 / float(state["weights"]))
                values.copy_(_in_basis(state, _between(state)))

    @torch.no_grad()
    def keep_average(self) -> None:
        """Replace the parameters by their averages."""
        for values, state in self.state.items():
            values.copy_(_in_basis(state, state["x"]))


def _between(state: Mapping[str, Tensor]) -> Tensor:
    return torch.lerp(state["z"], state["x"], BETAS[0])


def _in_basis(state: Mapping[str, Tensor], values: Tensor) -> Tensor:
    """Multiply by M, which is symmetric: from V to W, and from W's gradient to V's."""
    if "channels" not in state:
        return values
    return Basis(state["channels"], state["taps"]).apply(values)


def _direction(squares: Tensor, gradient: Tensor, count: int) -> Tensor:
    """Divide the gradient by the root of the mean of its squares."""
    squares.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    return gradient / (squares / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
