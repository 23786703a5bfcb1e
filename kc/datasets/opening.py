"""Decoding of a picture's bytes by content, not by suffix, from a fixed list of formats."""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kc.errors import ImageError

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF")
"""Formats that Pillow decodes in this process. It knows more, such as EPS, which is a program that
it runs in Ghostscript."""

_START = 512
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")
_MAGIC = {
    b"%!PS": "PostScript, a program",
    b"\xc5\xd0\xd3\xc6": "PostScript, a program",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x01\x00": "an icon (ICO)",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "an array of NumPy",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "packed by gzip",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
    b"\xff\xd8": "a damaged JPEG",
    b"\x89PNG": "a damaged PNG",
    b"GIF8": "a damaged GIF",
    b"II*\x00": "a damaged TIFF",
    b"MM\x00*": "a damaged TIFF",
    b"BM": "a damaged BMP",
}
"""First bytes of other files that have the name of a picture, and what they are."""


def open_picture(file: Path | bytes) -> Image.Image:
    """Decode a picture from a file or its bytes, without reading other files or starting programs.

    Raises
    ------
    ImageError
        It is no picture of these formats (the message names its format if known), damaged, or a
        decompression bomb.
    """
    data = file if isinstance(file, bytes) else file.read_bytes()
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        picture.load()
    except UnidentifiedImageError:
        raise ImageError(
            f"does not decode: it is {known_as(data) or 'of an unknown format'}; expected one of "
            f"{', '.join(FORMATS)}"
        ) from None
    # a broken file makes its decoder raise any error, e.g. struct.error and MemoryError
    except Exception as error:
        raise ImageError(f"does not decode: {error or type(error).__name__}") from error
    return picture


def begins_as_picture(start: bytes) -> bool:
    """Return whether a file's first 12 bytes are those of a picture; short ones are not checked."""
    return start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def known_as(data: bytes) -> str | None:
    """Return the format of a file by its first bytes; None: it is not known."""
    named = [name for magic, name in _MAGIC.items() if data.startswith(magic)]
    text = data[:_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    if named:
        return named[0]
    if data[4:8] == b"ftyp":
        return f"AVIF, HEIC or a film ({data[8:12].decode('ascii', 'replace')!r})"
    if text.startswith(b"<"):
        return "SVG" if b"<svg" in text else "text in HTML or XML"
    return None if data else "empty"
