"""Pictures with other modes than 8 bits per colour."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kc.datasets.archive import FolderFiles
from kc.datasets.colours import as_rgb, say
from kc.datasets.decode import Pixels, decode
from kc.datasets.samples import Sample
from kc.errors import ImageError

RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))


def read(folder: Path, name: str) -> Pixels:
    sample = Sample(name, "a", 0, "train", name, None, "", None)
    return decode(sample, FolderFiles(folder), 64)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif"])
def test_sixteen_bits_are_scaled_to_eight_by_their_full_range(tmp_path: Path, name: str) -> None:
    values = np.round(65535 * RAMP).astype(np.uint16)
    values[0] = 384
    Image.fromarray(values).save(tmp_path / name)
    found = read(tmp_path, name)
    assert found.told == ("deep",)
    exact = np.asarray(values, np.float64) / 257
    assert np.abs(found.image - exact).max() <= 0.5
    assert (found.image[0] == found.image[2]).all()


@pytest.mark.parametrize(
    ("white", "told"), [(4095, ("deep", "dim")), (65535, ("deep",)), (0, ("deep",))]
)
def test_twelve_bits_in_sixteen_are_reported(tmp_path, white, told):
    Image.fromarray(np.round(white * RAMP).astype(np.uint16)).save(tmp_path / "x.tif")
    found = read(tmp_path, "x.tif")
    assert found.told == told
    assert found.image.max() == round(white / 257)


@pytest.mark.parametrize(("kind", "what"), [("f4", "floats"), ("i4", "integers of 32")])
def test_floats_and_32_bit_integers_are_refused(tmp_path: Path, kind: str, what: str) -> None:
    Image.fromarray((100 * RAMP).astype(kind)).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=rf"'x.tif' holds {what}.*expected 8 or 16 bits. Fix:"):
        read(tmp_path, "x.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparency_becomes_white(tmp_path: Path, mode: str) -> None:
    drawn = np.zeros((64, 64, 4), np.uint8)
    drawn[16:48, 16:48, 3] = 255  # a black square on transparency
    picture = Image.fromarray(drawn)
    name = "x.png" if mode != "PA" else "x.tif"
    if mode == "P":
        picture = picture.convert("RGBA").quantize(4, method=Image.Quantize.FASTOCTREE)
    elif mode != "RGBA":
        picture = picture.convert("LA") if mode == "LA" else picture
    picture.save(tmp_path / name)
    found = read(tmp_path, name)
    assert (found.image[:, 30, 30] < 5).all()
    assert (found.image[:, 2, 2] > 250).all()
    assert found.told == ("transparent",)


def test_a_half_transparent_colour_is_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (200, 0, 0, 51)).save(tmp_path / "x.png")
    np.testing.assert_allclose(read(tmp_path, "x.png").image[:, 0, 0], (244, 204, 204), atol=1)


def test_an_opaque_alpha_channel_is_not_reported(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (10, 20, 30, 255)).save(tmp_path / "x.png")
    assert read(tmp_path, "x.png").told == ()


def test_a_rotation_is_reported_but_not_applied(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = Image.fromarray((255 * RAMP).astype(np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "x.png", exif=exif)
    found = read(tmp_path, "x.png")
    assert found.image[0, 0, -1] == 255
    assert found.told == ("turned",)
    with caplog.at_level(logging.WARNING):
        say("here", [*found.told, "deep", "turned"])
    assert "here: 2 pictures have an EXIF rotation, which is not applied" in caplog.text
    assert "here: 1 pictures have grey of 16 bits" in caplog.text


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.tif"])
def test_the_first_of_several_frames_is_used_and_reported(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if name == "x.webp" else {}
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
    found = read(tmp_path, name)
    assert found.image[:, 5, 5].tolist() == [255, 0, 0]
    assert found.told == ("moving",)
    frames[0].save(tmp_path / name, **lossless)
    assert read(tmp_path, name).told == ()


def test_damage_after_the_first_frame_does_not_matter(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    whole = (tmp_path / "x.gif").read_bytes()
    second = whole.index(b"\x21\xf9", whole.index(b"\x21\xf9") + 1)
    for end in (second + 3, second + 12, len(whole) - 20):
        (tmp_path / "x.gif").write_bytes(whole[:end])
        assert read(tmp_path, "x.gif").image[:, 5, 5].tolist() == [255, 0, 0]


@pytest.mark.parametrize("most", [1023, 65535])
def test_a_pgm_of_more_than_eight_bits_is_scaled_by_its_range(tmp_path: Path, most: int) -> None:
    values = np.round(most * RAMP).astype(">u2")
    (tmp_path / "x.pgm").write_bytes(f"P5 64 64 {most}\n".encode() + values.tobytes())
    found = read(tmp_path, "x.pgm")
    assert found.told == ("deep",)
    assert np.abs(found.image - 255 * values.astype(float) / most).max() <= 0.51


def test_damaged_metadata_does_not_matter(tmp_path: Path) -> None:
    picture = Image.fromarray((255 * RAMP).astype(np.uint8))
    picture.save(tmp_path / "x.png", exif=b"Exif\0\0garbage")
    found = read(tmp_path, "x.png")
    np.testing.assert_array_equal(found.image[0], np.asarray(picture))
    assert found.told == ()


def test_colours_that_cannot_become_rgb_are_named() -> None:
    with pytest.raises(ImageError, match=r"colours of mode La, .* \(.*\)\. Fix: save it in RGB"):
        as_rgb(Image.new("La", (4, 4)))
