"""Settings of the entropy search, and its three presets."""

from dataclasses import dataclass, replace
from typing import Literal

from kc.errors import SettingsError

START = 0.01
"""Noise at which s_f is taken and every search starts, in ImageNet-normalised units."""


@dataclass(frozen=True)
class EntropySettings:
    """How sigma is searched for one image and layer [C20, Eqs. (1), (2)].

    The defaults are the released code's. Noise levels are in ImageNet-normalised units, entropies
    in nats.
    """

    search: Literal["path", "bound"] = "path"
    """``path``: gradient descent stopped early, as released; ``bound``: MSE <= tau, as printed."""
    grid: int = 16
    """Cells on a side; one sigma each."""
    steps: int = 80
    """Gradient steps at most (path), water-filling rounds (bound)."""
    draws: int = 96
    """Noise draws a step."""
    scale_draws: int = 96
    """Draws behind s_f."""
    slope: Literal["noise", "projection", "pairs"] = "noise"
    """Gradient of the MSE for sigma, from each draw: ``noise``, by autograd through x'; or
    ``projection`` of x' on random signs, far less noisy and true for layers that are linear near
    the image; or ``pairs`` of draws, which takes the linear part by projection and the rest by
    noise (:meth:`kc.concepts.probe.Probe.respond`). Search ``bound`` wants ``projection``:
    ``noise`` finds costs below 0 on networks, and sigma = 1 there breaks the bound."""
    integrator: Literal["euler", "exponential"] = "euler"
    """``euler``: plain SGD; ``exponential``: the same flow, exact while MSE stays quadratic."""
    learning_rate: float = 1e-4
    entropy_weight: float = 7.0
    """lambda; 7 for VGG and AlexNet, 6 for ResNets."""
    boost_step: int = 60
    """From this step on lambda is larger, unless the target was passed: then the search ends."""
    boost: float = 1.5
    target: float = -2.8
    """Mean entropy of the sigma that is kept."""
    stop: Literal["step", "crossing"] = "step"
    """``step``: nearest of the steps seen; ``crossing``: at the target, log sigma interpolated."""
    tau: float = 1.5
    """search ``bound``: MSE allowed, in s_f. The paper gives no value; Ma et al.'s code has 1.5."""
    sigma_min: float = 0.001
    sigma_max: float = 1.0
    max_batch: int = 96
    """Images x draws in one forward pass."""
    relu: bool = True
    """Whether the feature is looked at after a ReLU."""

    def __post_init__(self) -> None:
        """Refuse what cannot be searched with."""
        for name in ("grid", "steps", "draws", "scale_draws", "max_batch"):
            if getattr(self, name) < 1:
                raise SettingsError(
                    f"entropy.{name}: expected at least 1, got {getattr(self, name)}. "
                    "Fix: leave it out for the preset's value"
                )
        if self.slope == "pairs" and self.draws % 2:
            raise SettingsError(
                f"entropy.draws: slope 'pairs' wants an even number, got {self.draws}. Fix: add one"
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
        processor's time, seen on a loaded machine (``benchmarks/entropy_path.py``). Chosen on the
        first 12 of the default's pictures (VGG-11 fc1, fc2); on 24 others, teachers on generated
        pictures of six animals (AlexNet 1/4, VGG-11 1/8, 64 px), maps against one run of
        ``released`` and N_fg with its standard error: VGG-11 fc1 r 0.991, -2.1 +- 2.2 %; fc2
        0.989, +0.6 +- 3.1 %; AlexNet fc1 0.990, +1.3 +- 2.4 %; fc2 0.988, -0.4 +- 2.8 %. Other
        noise alone moves ``released`` by 1.7 +- 2.1 % (VGG-11 fc1, 12 pictures). fc3 was not
        measured.
    ``paper``
        The printed search [C20, Eq. (1)], tau = 1.5 s_f, by water-filling.

    Parameters
    ----------
    architecture
        Its name; ResNets are told by theirs.
    max_batch
        Images x draws in one forward pass: what the device's memory bears.

    Raises
    ------
    SettingsError
        There is no preset of this name.
    """
    if name not in _PRESETS:
        raise SettingsError(
            f"entropy.preset: expected one of {', '.join(_PRESETS)}, got '{name}'. Fix: name one"
        )
    weight = 6.0 if architecture.startswith("resnet") else 7.0
    return replace(_PRESETS[name], entropy_weight=weight, max_batch=max_batch)
