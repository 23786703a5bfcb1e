"""Row 1: recording to a store against the same forward passes with the features thrown away."""

import shutil
from argparse import Namespace
from pathlib import Path

import torch

from benchmarks.compare import Row, Target, interleave, main
from benchmarks.made import SHARD_ROWS, network, pictures, scratch
from kc.activations import record_networks
from kc.images import normalise
from kc.names import Architecture
from kc.networks import feature_extractor, load_network
from kc.settings.feature_maps import Activations
from kc.store import Store

CASES: dict[Architecture, tuple[tuple[str, ...], float]] = {
    "vgg16_bn": (("features.30", "features.40"), 0.90),
    # the sums of three stages: 57 kB for each image at a fifth of the work of VGG
    "resnet18": (("layer1.1.add", "layer2.1.add", "layer3.1.add"), 0.80),
}


def rows(sizes: Namespace) -> list[Row]:
    found = []
    for name, (nodes, target) in CASES.items():
        with scratch() as folder:
            images = pictures(folder, sizes.images * (4 if name == "resnet18" else 1))
            found.append(_row(name, nodes, target, images, sizes, folder))
    return found


def _row(
    architecture: Architecture,
    nodes: tuple[str, ...],
    target: float,
    images: Store,
    sizes: Namespace,
    folder: Path,
) -> Row:
    device = torch.device(sizes.device)
    settings = Activations(batch_size=128, shard_rows=SHARD_ROWS)
    weights = network(folder / architecture, architecture)
    extractor = feature_extractor(load_network(weights).to(device), nodes)
    pixels = torch.from_numpy(images["image"][:])
    out = folder / "out"

    def record() -> None:
        record_networks({architecture: weights}, nodes, images, settings, out, device)

    def forward() -> None:
        # this side reads and traces the network too, since both start from files
        again = feature_extractor(load_network(weights).to(device), nodes)
        with torch.inference_mode():
            for part in torch.split(pixels, settings.batch_size):
                again(normalise(part.to(device)))

    times = interleave(
        {"record": record, "forward": forward},
        sizes.repeats,
        before=lambda: shutil.rmtree(out, ignore_errors=True),
    )
    with torch.inference_mode():
        found = extractor(normalise(pixels[:2]).to(device))
    size = sum(feature[0].numel() * 2 for feature in found.values())
    return Row(
        f"1 record {architecture}",
        "recording to a store",
        "the same forward passes, features thrown away",
        Target(at_least=target),
        times.ratio("forward", "record"),
        {
            "images": len(pixels),
            "side_px": int(pixels.shape[-1]),
            "layers": list(nodes),
            "bytes_an_image": size,
            "images_per_second": times.rates(len(pixels)),
        },
    )


if __name__ == "__main__":
    main(rows, images=256, repeats=3, device="cpu")
