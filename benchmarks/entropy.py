"""Rows 10 and blocks: the entropy search against its bare passes, and against single images."""

import statistics
from argparse import Namespace
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.compare import Row, Target, interleave, main
from kc.concepts import EntropySettings, pixel_entropy, preset
from kc.concepts.gradient import QuickGradient
from kc.concepts.networks import layer_head
from kc.concepts.noise import SCALE_STEP, gaussian
from kc.names import Architecture
from kc.networks import build
from kc.settings.recipes import Network

SHAPES: dict[Architecture, Network] = {
    "alexnet": Network(width=0.25, head_units=128, small_input=True),
    "vgg11": Network(width=0.125, head_units=64),
}
"""Shapes of the default preset at 64 px; fresh weights take as long as trained ones."""


class Case(NamedTuple):
    """The network part, images and settings of one search."""

    head: nn.Module
    images: Tensor
    seeds: list[int]
    settings: EntropySettings
    device: torch.device

    def search(self, rows: slice = slice(None), settings: EntropySettings | None = None) -> Tensor:
        about = settings or self.settings
        found = pixel_entropy(self.head, self.images[rows], about, self.seeds[rows], self.device)
        return found.H


def rows(sizes: Namespace) -> list[Row]:
    return [
        row
        for architecture in SHAPES
        for name in ("released", "fast")
        for row in _rows(_case(architecture, name, sizes), f"{architecture} {name}", sizes)
    ]


def _case(architecture: Architecture, name: str, sizes: Namespace) -> Case:
    device = torch.device(sizes.device)
    model = build(architecture, 6, SHAPES[architecture], 0).to(device)
    head = layer_head(model, architecture, "fc1", 64).eval()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(sizes.images, 3, 8, 8, generator=generator)
    images = nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear").to(device)
    steps = sizes.steps if name == "released" else preset(name, architecture).steps
    # no step reaches this target, so every image takes all steps
    settings = replace(preset(name, architecture), steps=steps, target=50.0)
    return Case(head, images, list(range(sizes.images)), settings, device)


def _rows(case: Case, name: str, sizes: Namespace) -> list[Row]:
    draws, steps = case.settings.draws, case.settings.steps
    blocked = replace(case.settings, max_batch=max(96, 4 * draws))
    alone = replace(case.settings, max_batch=draws)
    found: dict[str, Tensor] = {}

    def in_blocks() -> None:
        found["blocks"] = case.search(settings=blocked)

    def one_by_one() -> None:
        single = [case.search(slice(i, i + 1), alone) for i in range(sizes.images)]
        found["singles"] = torch.cat(single)

    room = blocked.max_batch // draws
    sides = {
        "blocks": in_blocks,
        "singles": one_by_one,
        "bare": lambda: _passes(case, room),
        "noise": lambda: _noise(case),
    }
    times = interleave(sides, sizes.repeats)
    apart = float((found["blocks"] - found["singles"]).abs().max())
    # float32: a ReLU or a maximum may switch with rounding (in float64 they agree to 1e-7: tests)
    if not apart < 0.05:
        raise RuntimeError(f"{name}: H maps of blocks and of single images differ by {apart}")
    details = {
        "images": sizes.images,
        "draws": draws,
        "steps": steps,
        "images_a_block": room,
        "largest_difference_of_H_nats": apart,
        "noise_alone_over_passes": statistics.median(times.ratio("noise", "bare").values),
        "image_steps_per_second": times.rates(sizes.images * steps),
    }
    return [
        Row(
            f"blocks, {name}",
            f"entropy search, blocks of {room} images",
            "one image at a time, same draws and steps",
            Target(at_least=0.95) if case.device.type == "cpu" else Target(),
            times.ratio("singles", "blocks"),
            details,
        ),
        Row(
            f"10 search, {name}",
            "entropy search",
            "its own forward and backward passes, nothing else",
            Target(at_most=1.15),
            times.ratio("blocks", "bare"),
        ),
    ]


def _passes(case: Case, room: int) -> None:
    """Run the forward and backward passes of the search alone, on batches of the same size."""
    about = case.settings
    backward = 2 if about.slope == "pairs" else 1
    layout = torch.channels_last if case.device.type == "cpu" else torch.contiguous_format
    for start in range(0, len(case.images), room):
        some = case.images[start : start + room].repeat_interleave(about.draws, 0)
        some = some.contiguous(memory_format=layout)
        with torch.no_grad():
            for _ in range(about.scale_draws // about.draws):
                torch.relu(case.head(some))
        some.requires_grad_()
        for _ in range(about.steps):
            with QuickGradient():
                feature = torch.relu(case.head(some))
            for back in range(backward):
                last = back == backward - 1
                torch.autograd.grad(feature, some, torch.ones_like(feature), retain_graph=not last)


def _noise(case: Case) -> None:
    """Draw the noise of the search without using it."""
    about = case.settings
    height, width = case.images.shape[2:]
    draw = gaussian((3, height, width), case.device, case.images.dtype)
    sides = 2 if about.slope == "pairs" else 1
    for seed in case.seeds:
        draw(seed, SCALE_STEP, about.scale_draws)
        for step in range(about.steps):
            draw(seed, step, about.draws // sides)


if __name__ == "__main__":
    main(rows, images=4, steps=10, repeats=3, device="cpu")
