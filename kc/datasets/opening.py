"""The one place where a picture's bytes are opened: by a list of formats, whatever its suffix."""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kc.errors import ImageError

FORMATS = ("JPEG", "PNG", "BMP", "PPM", "TIFF", "WEBP", "GIF")
"""Formats that decode within this process and from their own bytes. Pillow knows more, among them
EPS, which is a program that it hands to Ghostscript."""

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
"""First bytes of what lies about under a picture's name, and what to call it."""


def open_picture(file: Path | bytes) -> Image.Image:
    """Decode the picture of a file, or of its bytes; nothing else is read, and nothing is started.

    Raises
    ------
    ImageError
        It is no picture of these formats (says what it is instead, where that shows), damaged, or
        so large that only a bomb is.
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
    # whatever a broken file makes its decoder raise: struct.error and MemoryError have been seen
    except Exception as error:
        raise ImageError(f"does not decode: {error or type(error).__name__}") from error
    return picture


def begins_as_picture(start: bytes) -> bool:
    """Return whether a file's first 12 bytes are those of a picture; short marks are not asked."""
    return start.startswith(_PICTURES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def known_as(data: bytes) -> str | None:
    """Name what first bytes are known to be of, were it damaged; None: they are not known."""
    named = [name for magic, name in _MAGIC.items() if data.startswith(magic)]
    text = data[:_START].lstrip(b"\xef\xbb\xbf \t\r\n")
    if named:
        return named[0]
    if data[4:8] == b"ftyp":
        return f"AVIF, HEIC or a film ({data[8:12].decode('ascii', 'replace')!r})"
    if text.startswith(b"<"):
        return "SVG" if b"<svg" in text else "text in HTML or XML"
    return None if data else "empty"
