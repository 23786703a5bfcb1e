"""Pictures are decoded by content, without starting programs or reading other files."""

import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from kc.datasets.archive import FolderFiles
from kc.datasets.decode import decode
from kc.datasets.opening import FORMATS, open_picture
from kc.datasets.samples import Sample
from kc.errors import ImageError

POSTSCRIPT = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n(x) run\nshowpage\n%%EOF\n"
)
BINARY_EPS = struct.pack("<4s6IH", b"\xc5\xd0\xd3\xc6", 32, len(POSTSCRIPT), 0, 0, 0, 0, 0)


def sample(name: str, mask: str | None = None) -> Sample:
    return Sample("one", "class", 0, "train", name, None, "", mask)


def saved(format_name: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, format_name)
    return buffer.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_the_list_is_read_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(name))
    assert open_picture(tmp_path / "a.jpg").size == (24, 20)
    assert decode(sample("a.jpg"), FolderFiles(tmp_path), 16).image.shape == (3, 16, 16)


def test_postscript_starts_no_program_under_any_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []

    def start(*of: object, **about: object) -> None:
        started.append((of, about))

    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, start)
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    good = tmp_path / "good.png"
    good.write_bytes(saved("PNG"))
    for name in ("x.jpg", "x.png", "x.tif"):
        for data in (POSTSCRIPT, BINARY_EPS + POSTSCRIPT):
            (tmp_path / name).write_bytes(data)
            for each in (sample(name), sample("good.png", mask=name)):
                with pytest.raises(
                    ImageError,
                    match=rf"'{name}' \(of image 'one', [\d,]+ bytes\) does not decode: it is "
                    r"PostScript, a program; expected one of JPEG, PNG, .*\. Fix: download",
                ):
                    decode(each, FolderFiles(tmp_path), 16)
    assert started == []


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it is empty"),
        (b"%PDF-1.7\n", "it is PDF"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><html>", "it is text in HTML or XML"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "it is SVG"),
        (b"\x00\x00\x00\x1cftypheic\x00", r"it is AVIF, HEIC or a film \('heic'\)"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "it is JPEG 2000"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        (b"\xff\xd8broken", "it is a damaged JPEG"),
        (b"\x07" * 99, "it is of an unknown format; expected one of JPEG, PNG, BMP"),
        (saved("PNG")[:200], "does not decode: image file is truncated"),
    ],
)
def test_the_error_names_the_format_of_files_that_are_no_pictures(data: bytes, told: str) -> None:
    with pytest.raises(ImageError, match=told):
        open_picture(data)


@pytest.mark.parametrize("name", ["AVIF", "ICO", "TGA", "PCX", "SGI", "JPEG2000", "EPS", "QOI"])
def test_other_formats_that_pillow_reads_are_refused(name: str) -> None:
    try:
        data = saved(name)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {name}")
    with pytest.raises(ImageError, match="expected one of JPEG, PNG"):
        open_picture(data)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *before: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + pixels + chunk(b"IEND", b"")


def test_decompression_bombs_are_refused_before_they_unpack() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20)))
    for data, told in (
        (png(100_000, 100_000), "exceeds limit of .* could be decompression bomb"),
        (b"P6 100000 100000 255\n" + bytes(99), "exceeds limit of .* could be decompression bomb"),
        (png(20, 20, text), "does not decode: .*[Dd]ecompressed data too large"),
    ):
        assert len(data) < 100_000
        with pytest.raises(ImageError, match=told):
            open_picture(data)


def test_damaged_pictures_of_every_format_end_in_one_error() -> None:
    """Change bytes at random: the picture decodes, or the error says that it does not."""
    rng = np.random.default_rng(0)
    for name in FORMATS:
        data = saved(name)
        for _ in range(20):
            broken = bytearray(data)
            for place in rng.integers(0, min(len(data), 400), 3):
                broken[place] = rng.integers(0, 256)
            try:
                open_picture(bytes(broken))
            except ImageError as error:
                assert str(error).startswith("does not decode")  # noqa: PT017, either will do
