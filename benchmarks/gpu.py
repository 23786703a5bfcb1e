"""All rows that need a GPU, in one command of less than 8 minutes: ``make bench-gpu``.

Recording VGG-16-BN at 224 px, fitting g on 6,000 pairs of 512x28x28 with K = 2, its components, and
the entropy search for VGG-16. ``--device cpu --scale 0.01 --side 64`` runs a tiny version of it.
The printed rates (images recorded, samples fitted, image-steps searched per second) are the input
of an estimate of the hours of the preset ``paper``.
"""

import shutil
import time
from argparse import Namespace
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from benchmarks.compare import Ratio, Row, Target, interleave, main, synchronise
from benchmarks.made import network, pictures, scratch
from kc.activations import record_networks
from kc.concepts import pixel_entropy, preset
from kc.concepts.gradient import QuickGradient
from kc.concepts.networks import layer_head
from kc.consistency import ConsistencyNet, FitResult, fit
from kc.consistency.data import pair_up
from kc.consistency.decompose import Normalisation, decompose, exact_products
from kc.consistency.optimise import train_epoch
from kc.consistency.released import Released
from kc.consistency.task import FitTask
from kc.images import normalise
from kc.networks import build, feature_extractor, load_network
from kc.settings.feature_maps import Activations
from kc.settings.recipes import Network
from kc.settings.reconstruction import Consistency, Optimiser

ORDER = 2
NODES = ("features.30", "features.40")
MAP = (512, 28, 28)
"""VGG-16-BN's conv4_3 at 224 px."""


def rows(sizes: Namespace) -> list[Row]:
    device = torch.device(sizes.device)
    parts = (_record, _fit, _components, _search)
    found: list[Row] = []
    for number, part in enumerate(parts, start=1):
        begun = time.monotonic()
        found += part(sizes, device)
        seconds = time.monotonic() - begun
        print(f"[{number}/{len(parts)}] {part.__name__[1:]}: {seconds:.0f} s", flush=True)
    return found


def _scaled(sizes: Namespace, count: int, least: int = 1) -> int:
    return max(least, round(count * float(sizes.scale)))


def _record(sizes: Namespace, device: torch.device) -> list[Row]:
    count, side = _scaled(sizes, 2048, 16), sizes.side
    settings = Activations(batch_size=min(128, count), shard_rows=min(256, count))
    with scratch() as folder:
        images = pictures(folder, count, side)
        weights = network(folder / "vgg16_bn", "vgg16_bn")
        pixels = torch.from_numpy(images["image"][:])
        out = folder / "out"

        def record() -> None:
            record_networks({"vgg16_bn": weights}, NODES, images, settings, out, device)

        def forward() -> None:
            # both sides read the network (half a gigabyte)
            extractor = feature_extractor(load_network(weights).to(device), NODES)
            with torch.inference_mode():
                for part in torch.split(pixels, settings.batch_size):
                    extractor(normalise(part.to(device)))

        sides = {"record": record, "forward": forward}
        times = interleave(sides, 2, lambda: shutil.rmtree(out, ignore_errors=True))
    return [
        Row(
            f"gpu record vgg16_bn {side} px",
            "recording to a store",
            "the same forward passes, features thrown away",
            Target(at_least=0.90),
            times.ratio("forward", "record"),
            {"images": count, "images_per_second": times.rates(count)},
        )
    ]


def _fit(sizes: Namespace, device: torch.device) -> list[Row]:
    """Time a fit in bf16, and a few epochs of the released recipe on the same features."""
    count, shape = _scaled(sizes, 6000, 64), _shape(sizes)
    # half of the target follows from the source, so that there is something to fit
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, *shape, generator=generator).half()
    y = 0.7 * x.roll(1, 1) + 0.7 * torch.randn(count, *shape, generator=generator).half()
    x, y = x.to(device), y.to(device)
    epochs = 5
    begun = time.perf_counter()
    result = fit(
        x, y, order=ORDER, device=device, precision="bfloat16", optimiser=Optimiser(epochs=epochs)
    )
    synchronise()
    whole = time.perf_counter() - begun
    steps = _epoch_seconds(x, y, result, device, "bfloat16", 3)
    recipe = _epoch_seconds(x, y, result, device, "float32", 2)
    peak = _bf16_rate(device)
    fitted = len(result.train) - len(result.validation)
    rate = fitted / min(steps)
    work = 3 * (ORDER + 1) * 2 * 9 * shape[0] ** 2 * shape[1] * shape[2] * rate
    return [
        Row(
            "gpu fit, share of bf16 peak",
            "multiplications of g, forward and back, in training epochs",
            "a matrix product of 8192 in bf16, measured beside",
            Target(at_least=0.40),
            Ratio([work / peak]),
            {
                "pairs": count,
                "shape": list(shape),
                "samples_per_second": rate,
                "bf16_tflops_measured": peak / 1e12,
            },
        ),
        Row(
            "gpu fit, recipe",
            "1000 epochs of the released recipe, from the rate of 2 of them",
            f"whole fit, {epochs} epochs, closed forms included",
            Target(at_least=100),
            Ratio([1000 * min(recipe) / whole]),
            {"seconds": {"fit": whole, "an epoch of the recipe": min(recipe)}}
            | {"mse": result.chosen.validation_mse, "gains": result.chosen.gains},
        ),
    ]


def _shape(sizes: Namespace) -> tuple[int, int, int]:
    return (MAP[0] if sizes.scale >= 1 else 32, *MAP[1:])


def _epoch_seconds(
    x: torch.Tensor,
    y: torch.Tensor,
    result: FitResult,
    device: torch.device,
    precision: Literal["float32", "bfloat16"],
    epochs: int,
) -> list[float]:
    """Time epochs of the released recipe in a precision, one by one."""
    pair = pair_up(x, y, device)
    fitted = np.setdiff1d(result.train, result.validation)
    settings = Consistency(precision=precision)
    task = FitTask(pair, result.normalisation, fitted, result.validation, settings, 0)
    net = ConsistencyNet(pair.source_shape, pair.target_shape, ORDER, seed=0).to(device)
    recipe, seconds = Released(net, 1, "last"), []
    with exact_products():
        for _ in range(epochs):
            begun = time.perf_counter()
            train_epoch(net, task, recipe, 0)
            synchronise()
            seconds.append(time.perf_counter() - begun)
    return seconds


def _bf16_rate(device: torch.device) -> float:
    """Measure operations per second of a large product (a multiply-add counts as two)."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    times = []
    for _ in range(8):
        synchronise()
        begun = time.perf_counter()
        for _ in range(5):
            a @ a
        synchronise()
        times.append((time.perf_counter() - begun) / 5)
    return float(2 * side**3 / min(times))


def _components(sizes: Namespace, device: torch.device) -> list[Row]:
    shape = _shape(sizes)
    net = ConsistencyNet(shape, shape, ORDER, seed=0).eval().to(device)
    x, y = (torch.randn(_scaled(sizes, 128, 4), *shape, device=device) for _ in range(2))
    count = (ORDER + 1) * (ORDER + 2) // 2

    with_check = count + ORDER  # g(x); its first convolution is shared

    def bare(count: int) -> None:
        for _ in range(count):
            net.operate(0, x)

    sides = {
        "parts": lambda: net.components(x),
        "checked": lambda: decompose(net, Normalisation(), x, y),
        "bare": lambda: bare(count),
        "bare, checked": lambda: bare(with_check),
    }
    with torch.no_grad(), exact_products():
        times = interleave(sides, 5)
    against, most = "{} convolutions of that size", Target(at_most=1.15)
    return [
        Row(
            "gpu components",
            "components of a block",
            against.format(count),
            most,
            times.ratio("parts", "bare"),
        ),
        Row(
            "gpu components, checked",
            "the same, checked",
            against.format(with_check),
            most,
            times.ratio("checked", "bare, checked"),
        ),
    ]


def _search(sizes: Namespace, device: torch.device) -> list[Row]:
    """Time 10 steps of ``released`` on VGG-16 at 224 px, in blocks and one image at a time."""
    side, steps = sizes.side, 10 if sizes.scale >= 1 else 2
    model = build("vgg16", 6, Network(width=1.0 if sizes.scale >= 1 else 0.125), 0).to(device)
    head = layer_head(model, "vgg16", "fc1", side).eval()
    count = 8 if sizes.scale >= 1 else 2
    images = torch.randn(count, 3, side, side)
    settings = replace(preset("released", "vgg16"), steps=steps, target=50.0)
    if sizes.scale < 1:
        settings = replace(settings, draws=4, scale_draws=4)
    seeds = list(range(count))
    blocks = replace(settings, max_batch=4 * settings.draws)
    alone = replace(settings, max_batch=settings.draws)

    def one_by_one() -> None:
        for row in range(count):
            pixel_entropy(head, images[row : row + 1], alone, seeds[row : row + 1], device)

    def passes() -> None:
        some = images[:1].to(device).repeat(settings.draws, 1, 1, 1).requires_grad_()
        for _ in range(count * steps):
            with QuickGradient():
                feature = torch.relu(head(some))
            torch.autograd.grad(feature, some, torch.ones_like(feature))

    sides = {
        "blocks": lambda: pixel_entropy(head, images, blocks, seeds, device),
        "singles": one_by_one,
        "bare": passes,
    }
    times = interleave(sides, 2)
    return [
        Row(
            "gpu search, blocks",
            "entropy search of VGG-16, blocks of 4 images",
            "one image at a time",
            Target(),
            times.ratio("singles", "blocks"),
            {"image_steps_per_second": times.rates(count * steps), "draws": settings.draws},
        ),
        Row(
            "gpu search, passes",
            "entropy search of VGG-16",
            "its own forward and backward passes",
            Target(at_most=1.15),
            times.ratio("blocks", "bare"),
        ),
    ]


if __name__ == "__main__":
    main(rows, device="cuda", scale=1.0, side=224)
