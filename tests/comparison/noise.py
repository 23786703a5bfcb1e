from pathlib import Path

import numpy as np
from PIL import Image


def write(root: Path, *names: str, size: int = 16) -> Path:
    """Write pictures of noise, whose features follow from no class or kind of picture."""
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return root
