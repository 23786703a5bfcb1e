"""Functions that the writers of drawn data sets share: files, boxes, the two subsets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from kc.datasets.samples import Box
from kc.progress import progress_bar
from kc.runtime import derive_seed
from kc.settings.dataset import Generated

JPEG_QUALITY = 95


def save_picture(image: UInt8[np.ndarray, "h w 3"], path: Path) -> None:
    """Write a picture as JPEG and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=JPEG_QUALITY, subsampling=0)


def save_lines(path: Path, lines: list[str]) -> None:
    """Write lines of text and create the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def box_of(mask: Bool[np.ndarray, "h w"]) -> Box:
    """Return the bounding box of a mask that is not empty."""
    ys, xs = np.nonzero(mask)
    return Box(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)


def each_picture(settings: Generated, what: str) -> Iterator[tuple[int, int, bool]]:
    """Iterate over class, picture and whether it is for training, with a progress bar."""
    total = settings.classes * settings.images_per_class
    with progress_bar(total=total, desc=f"drawing {what}", unit="image") as bar:
        for number in range(settings.classes):
            trained = training_images(settings, number)
            for index in range(settings.images_per_class):
                yield number, index, index in trained
                bar.update()


def training_images(settings: Generated, number: int) -> set[int]:
    """Choose the training pictures of a class: at least one, and not all."""
    count = settings.images_per_class
    order = np.random.default_rng(derive_seed("split", settings.seed, number)).permutation(count)
    return set(order[tested_of(settings) :].tolist())


def tested_of(settings: Generated) -> int:
    """Return the number of test pictures of a class."""
    count = settings.images_per_class
    return min(max(round(count * settings.test_share), 1), count - 1)
