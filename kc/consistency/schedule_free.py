"""AdamW without a schedule: the weights to keep are an average of the path, at any step.

Defazio et al., The Road Less Scheduled (2024), Eqs. (3)-(5). A schedule that ends makes every fit
look finished; here nothing ends, so a validation error that stays means what it says.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from kc.consistency.basis import Basis

BETAS = (0.9, 0.999)
"""How near to the average gradients are taken, and the memory of their squares."""
WARM_UP = 20
"""Steps over which the rate grows; steps at a small rate count as little in the average."""
EPSILON = 1e-8
COUNTERS = ("step", "weights")
"""What of a parameter's state is a number, and stays on the CPU."""


class ScheduleFree(torch.optim.Optimizer):
    r"""Step z by AdamW from gradients at y, between z and the average x of all z.

    .. math::
        y_t = (1 - \beta) z_t + \beta x_t, \qquad
        z_{t+1} = z_t - \gamma_t \big( \hat g(y_t) + \lambda y_t \big), \qquad
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}

    The weights c of the average grow with the step, which forgets the first ones sooner.
    Parameters hold y; :meth:`keep_average` puts x in their place. Where a parameter has a basis,
    x, y and z are in it.

    Parameters
    ----------
    groups
        As torch's optimisers take them, each with ``lr`` and ``weight_decay``.
    """

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        super().__init__(groups, {})

    @torch.no_grad()
    def begin(self, bases: Mapping[Tensor, Basis]) -> None:
        """Forget all, and begin a new average at the present parameters."""
        self.state.clear()
        for group in self.param_groups:
            for values in group["params"]:
                state = self.state[values]
                begun = values.detach().clone()
                if values in bases:
                    # own copies: state that is saved may share no memory
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
        """Put the averages in the parameters' place."""
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
