"""Row 6: compute all components of a block, against the bare convolutions it needs."""

from argparse import Namespace

import torch
import torch.nn.functional as F

from benchmarks.compare import Row, Target, interleave, main
from kc.consistency import ConsistencyNet
from kc.consistency.decompose import Normalisation, decompose, exact_products

SHAPES = {"64x8x8": (64, 8, 8), "256x14x14": (256, 14, 14)}
"""VGG-16-BN's conv4_3 in the default preset, and ResNet-34's last_conv at 224 px."""


def rows(sizes: Namespace) -> list[Row]:
    return [row for name, shape in SHAPES.items() for row in _rows(name, shape, sizes)]


def _rows(name: str, shape: tuple[int, int, int], sizes: Namespace) -> list[Row]:
    device = torch.device(sizes.device)
    net = ConsistencyNet(shape, shape, sizes.order, seed=0).eval().to(device)
    block = max(16, min(128, 128 * 64 * 64 // (shape[0] * shape[1] * shape[2])))
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(block, *shape, generator=generator).to(device) for _ in range(2))
    count = (sizes.order + 1) * (sizes.order + 2) // 2
    with_check = count + sizes.order  # g(x); its first convolution is shared
    inner = sizes.passes * max(1, 16 // shape[1])

    def bare(count: int) -> None:
        for _ in range(inner):
            for _ in range(count):
                F.conv2d(x, net.weights[0], padding=1)

    def parts() -> None:
        for _ in range(inner):
            net.components(x)

    def checked() -> None:
        for _ in range(inner):
            decompose(net, Normalisation(), x, y)

    with torch.no_grad(), exact_products():
        sides = {
            "parts": parts,
            "checked": checked,
            "bare": lambda: bare(count),
            "bare, checked": lambda: bare(with_check),
        }
        times = interleave(sides, sizes.repeats)
    against = "{} convolutions of that size, nothing else"
    details = {
        "block": block,
        "order": sizes.order,
        "images_per_second": times.rates(block * inner),
    }
    return [
        Row(
            f"6 components {name}",
            "components of a block",
            against.format(count),
            Target(at_most=1.15),
            times.ratio("parts", "bare"),
            details,
        ),
        Row(
            f"6 components {name}, checked",
            "the same, x^Delta and the check against g(x) as well",
            against.format(with_check),
            Target(at_most=1.15),
            times.ratio("checked", "bare, checked"),
        ),
    ]


if __name__ == "__main__":
    main(rows, order=2, passes=10, repeats=7, device="cpu")
