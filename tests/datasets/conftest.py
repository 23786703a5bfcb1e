"""A tiny data set in CUB's layout, which tests damage in different ways."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PICTURES = (
    # number, path, class, train, box; numbers have gaps and are not in order
    (7, "004.Ani/Ani_0002.jpg", 4, 1, "1.0 2.0 10.0 9.0"),
    (2, "001.Auk/Auk_0001.jpg", 1, 1, "0.0 0.0 20.0 16.0"),
    (3, "001.Auk/Auk_0003.jpg", 1, 0, "4.4 3.6 8.0 8.0"),
    (9, "004.Ani/Ani_0001.jpg", 4, 0, "2.0 2.0 12.0 12.0"),
)
SIZE = (20, 16)


def jpeg(seed: int, mode: str = "RGB") -> bytes:
    shape = (SIZE[1], SIZE[0], 3) if mode == "RGB" else (SIZE[1], SIZE[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _write(root: Path) -> Path:
    root.mkdir(parents=True)
    for number, path, _, _, _ in PICTURES:
        file = root / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(number, "L" if number == 3 else "RGB"))
    lists = {
        "images.txt": [f"{row[0]} {row[1]}" for row in PICTURES],
        "image_class_labels.txt": [f"{row[0]} {row[2]}" for row in PICTURES],
        "train_test_split.txt": [f"{row[0]} {row[3]}" for row in PICTURES],
        "bounding_boxes.txt": [f"{row[0]} {row[4]}" for row in PICTURES],
        "classes.txt": ["4 004.Ani", "1 001.Auk"],
    }
    for name, lines in lists.items():
        (root / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """Return the folder that holds ``CUB_200_2011/``."""
    _write(tmp_path / "data" / "CUB_200_2011")
    return tmp_path / "data"


@pytest.fixture
def edit(layout: Path) -> Callable[[str, str, str], None]:
    """Return ``edit(name, old, new)``, which replaces text in a list."""

    def replace(name: str, old: str, new: str) -> None:
        file = layout / "CUB_200_2011" / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))

    return replace
