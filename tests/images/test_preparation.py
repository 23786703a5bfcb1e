"""Pictures are prepared as the libraries' own transforms prepare them, pixel by pixel."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pydantic import ValidationError
from torchvision import models

from kc.comparison import of_timm, of_torchvision, of_transformers
from kc.errors import NetworkError
from kc.images.pixels import normalise
from kc.images.preparation import prepared, view
from kc.settings.preparation import Preparation, Prepare

SIZES = [(97, 61), (61, 97), (256, 256), (500, 375), (33, 400)]


def drawn(size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(size[0])
    small = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def taken(picture: Image.Image, how: Preparation) -> torch.Tensor:
    pixels = torch.from_numpy(prepared(picture, how))[None]
    return normalise(pixels, how.mean, how.std)[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("resnet50", "IMAGENET1K_V1"),
        ("resnet50", "DEFAULT"),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"),
    ],
)
def test_pixels_are_those_of_torchvisions_transforms(name, tag, size):
    transforms = models.get_model_weights(name)[tag].transforms()
    how = of_torchvision._prepared(transforms)
    torch.testing.assert_close(taken(drawn(size), how), transforms(drawn(size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("crop_pct", "mode", "interpolation"),
    [(0.875, "center", "bicubic"), (1.0, "center", "bilinear"), (0.95, "squash", "bicubic"),
     (1.0, "squash", "lanczos")],
)  # fmt: skip
def test_pixels_are_those_of_timms_transforms(size, crop_pct, mode, interpolation):
    model = timm.create_model("test_resnet", pretrained=False)
    about = {"crop_pct": crop_pct, "crop_mode": mode, "interpolation": interpolation}
    model.pretrained_cfg |= about | {"input_size": (3, 160, 160), "mean": (0.5, 0.4, 0.3)}
    config = timm.data.resolve_model_data_config(model)
    transforms = timm.data.create_transform(**config, is_training=False)
    how = of_timm._prepared(timm, model, "timm:test_resnet")
    torch.testing.assert_close(taken(drawn(size), how), transforms(drawn(size)))


@pytest.mark.parametrize(
    "about",
    [
        {"size": {"height": 48, "width": 48}},
        {"size": {"shortest_edge": 64}, "crop_size": {"height": 48, "width": 48}},
        {"size": {"height": 48, "width": 48}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        {"size": {"height": 48, "width": 48}, "do_normalize": False},
    ],
    ids=str,
)
def test_pixels_are_those_of_an_image_processor(about):
    """Its resizing of tensors rounds differently, by one or two of 255."""
    transformers = pytest.importorskip("transformers")
    crops = "crop_size" in about
    kind = transformers.CLIPImageProcessor if crops else transformers.ViTImageProcessor
    processor = kind(**about)
    how = of_transformers.of_processor(processor.to_dict(), "hf:here")
    for size in SIZES[:4]:
        expected = processor(drawn(size), return_tensors="pt")["pixel_values"][0]
        rounding = 2.5 / 255 / min(how.std)
        assert (taken(drawn(size), how) - expected).abs().max() < rounding


@pytest.mark.parametrize(
    "about",
    [
        {"size": {"shortest_edge": 800, "longest_edge": 1333}, "do_resize": True},
        {"size": {"height": 48, "width": 64}},
        {"size": {"shortest_edge": 64}, "do_center_crop": False},
        {"size": {"height": 48, "width": 48}, "do_pad": True},
        {"size": {"height": 48, "width": 48}, "do_resize": False},
    ],
)
def test_processors_without_one_square_are_refused(about):
    told = r"hf:x: its image processor gives .*Fix: a function of yours"
    with pytest.raises(NetworkError, match=told):
        of_transformers.of_processor(about | {"image_mean": [0] * 3, "image_std": [1] * 3}, "hf:x")


def test_the_view_is_what_the_crop_keeps():
    keep = Preparation(size=80, resize=100, aspect="keep")
    assert view((200, 100), keep) == pytest.approx((0.8, 0.4))
    assert view((100, 400), keep) == pytest.approx((0.2, 0.8))
    squash = Preparation(size=80, resize=100)
    assert view((200, 100), squash) == view((7, 9), squash) == pytest.approx((0.8, 0.8))
    # a picture that is white there and black outside is white alone after the crop
    picture = Image.new("L", (200, 100))
    picture.paste(255, (60, 10, 140, 90))
    white = prepared(picture.convert("RGB"), keep)
    assert white[:, 2:-2, 2:-2].min() == 255
    larger = prepared(picture.convert("RGB"), Preparation(size=88, resize=100, aspect="keep"))
    assert larger.min() == 0


def test_what_is_asked_for_comes_before_what_the_weights_say():
    own = Preparation(size=224, resize=256, aspect="keep", mean=(0.5, 0.5, 0.5))
    assert Preparation.of(own, Prepare()) == own
    # another size alone shows the same part of a picture
    small = Preparation.of(own, Prepare(), Prepare(size=112))
    assert (small.size, small.resize, small.mean) == (112, 128, own.mean)
    both = Preparation.of(own, Prepare(size=112, aspect="squash"), Prepare(size=64, resize=64))
    assert (both.size, both.resize, both.aspect) == (64, 64, "squash")
    usual = Preparation.of(None, Prepare())
    assert (usual.size, usual.resize, usual.is_whole) == (64, 64, True)
    assert Preparation.of(None, Prepare(size=32)).resize == 32


def test_a_crop_larger_than_the_picture_is_refused():
    with pytest.raises(ValidationError, match=r"resize 32 is less than size 64: .*Fix: a resize"):
        Preparation.of(None, Prepare(resize=32))
