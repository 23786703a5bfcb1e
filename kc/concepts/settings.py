"""Settings of the entropy search, and its three presets."""

from dataclasses import dataclass, replace
from typing import Literal

from kc.errors import SettingsError

START = 0.01
"""Noise at which s_f is measured and every search starts, in ImageNet-normalised units."""


@dataclass(frozen=True)
class EntropySettings:
    """How sigma is searched for one image and layer [C20, Eqs. (1), (2)].

    The defaults are those of the released code. Noise levels are in ImageNet-normalised units,
    entropies in nats.
    """

    search: Literal["path", "bound"] = "path"
    """``path``: gradient descent stopped early, as released; ``bound``: MSE <= tau, as printed."""
    grid: int = 16
    """Cells on a side; one sigma each."""
    steps: int = 80
    """Most gradient steps (path), or water-filling rounds (bound)."""
    draws: int = 96
    """Noise draws per step."""
    scale_draws: int = 96
    """Noise draws for s_f."""
    slope: Literal["noise", "projection", "pairs"] = "noise"
    """Estimate of the gradient of the MSE for sigma: ``noise``, by autograd through x';
    ``projection`` of x' on random signs, far less noisy and correct for layers that are linear near
    the image; or ``pairs`` of draws, which uses projection for the linear part and noise for the
    rest (:meth:`kc.concepts.probe.Probe.respond`). Search ``bound`` needs ``projection``: ``noise``
    estimates costs below 0 on networks, and sigma = 1 there breaks the bound."""
    integrator: Literal["euler", "exponential"] = "euler"
    """``euler``: plain SGD; ``exponential``: the same flow, exact for a quadratic MSE."""
    learning_rate: float = 1e-4
    entropy_weight: float = 7.0
    """lambda; 7 for VGG and AlexNet, 6 for ResNets."""
    boost_step: int = 60
    """At this step lambda grows, or the search ends if the target was passed."""
    boost: float = 1.5
    target: float = -2.8
    """Target of the mean entropy."""
    stop: Literal["step", "crossing"] = "step"
    """``step``: the step nearest to the target; ``crossing``: log sigma interpolated at it."""
    tau: float = 1.5
    """search ``bound``: largest MSE, in s_f. The paper gives no value; Ma et al.'s code has 1.5."""
    sigma_min: float = 0.001
    sigma_max: float = 1.0
    max_batch: int = 96
    """Images x draws in one forward pass."""
    relu: bool = True
    """Whether the feature is measured after a ReLU."""

    def __post_init__(self) -> None:
        """Check the numbers of cells, steps and draws."""
        for name in ("grid", "steps", "draws", "scale_draws", "max_batch"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"entropy.{name}: expected at least 1, got {getattr(self, name)}. "
                    "Fix: leave it out to use the preset's value"
                )
        if self.slope == "pairs" and self.draws % 2:
            raise SettingsError(
                f"entropy.draws: slope 'pairs' needs an even number, got {self.draws}. Fix: add one"
            )


_PRESETS: dict[str, EntropySettings] = {
    "released": EntropySettings(),
    "paper": EntropySettings(search="bound", steps=12, draws=48, slope="projection"),
    "fast": EntropySettings(
        steps=20,
        draws=12,
        slope="pairs",
        integrator="exponential",
        learning_rate=4e-4,
        boost_step=16,
        stop="crossing",
    ),
}


def preset(name: str, architecture: str, max_batch: int = 96) -> EntropySettings:
    """Return a preset for an architecture: lambda is 6 for ResNets, else 7.

    ``released``
        The released code's search.
    ``fast``
        The same path in 20 steps at most of 6 pairs of draws, for a 23rd to a 27th of the
        processor's time, measured on a loaded machine (``benchmarks/entropy_path.py``). Chosen on
        the first 12 of the default's pictures (VGG-11 fc1, fc2). On 24 others, with teachers on
        generated pictures of six animals (AlexNet 1/4, VGG-11 1/8, 64 px), correlation of maps
        with one run of ``released`` and change of N_fg with its standard error: VGG-11 fc1 r
        0.991, -2.1 +- 2.2 %; fc2 0.989, +0.6 +- 3.1 %; AlexNet fc1 0.990, +1.3 +- 2.4 %; fc2 0.988,
        -0.4 +- 2.8 %. Other noise alone changes ``released`` by 1.7 +- 2.1 % (VGG-11 fc1, 12
        pictures). fc3 was not measured.
    ``paper``
        The printed search [C20, Eq. (1)], tau = 1.5 s_f, by water-filling.

    Parameters
    ----------
    architecture
        Name of the network.
    max_batch
        Images x draws in one forward pass, limited by the device's memory.

    Raises
    ------
    SettingsError
        There is no preset of this name.
    """
    if name not in _PRESETS:
        raise SettingsError(
            f"entropy.preset: expected one of {', '.join(_PRESETS)}, got '{name}'. Fix: choose one"
        )
    weight = 6.0 if architecture.startswith("resnet") else 7.0
    return replace(_PRESETS[name], entropy_weight=weight, max_batch=max_batch)
