import numpy as np
import torch

from kc.images.pixels import normalise


def test_pixels_are_normalised_with_imagenets_colours() -> None:
    images = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (images.numpy() / 255.0 - mean[:, None, None]) / std[:, None, None]
    result = normalise(images)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_other_colours_replace_imagenets() -> None:
    images = torch.full((1, 3, 2, 2), 255, dtype=torch.uint8)
    found = normalise(images, (0.0, 0.5, 1.0), (1.0, 0.5, 2.0))
    assert found[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]
