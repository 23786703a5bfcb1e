import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kc.datasets.archive import check_whole, open_files
from kc.datasets.unpack import Limits
from kc.errors import ImageError

CONTENT = {"a/one.txt": b"one", "a/b/two.bin": bytes(range(256)) * 40, "three": b""}


def make_zip(path: Path, **more: zipfile.ZipInfo) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.mkdir("a")
        for name, data in CONTENT.items():
            packed.writestr(f"./{name}", data)
        for target, link in more.items():
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(link, target)
    return path


def test_a_zip_reads_as_a_folder_does(tmp_path: Path) -> None:
    links = {
        "three": zipfile.ZipInfo("soft"),
        "a": zipfile.ZipInfo("b"),
        "no": zipfile.ZipInfo("n"),
    }
    with open_files(make_zip(tmp_path / "data.any", **links)) as files:
        assert files.names() == sorted([*CONTENT, "soft", "b/one.txt", "b/b/two.bin"])
        assert {name: files.read(name) for name in CONTENT} == CONTENT
        assert files.read("b/b/two.bin", 4) == bytes(range(4))
        assert files.left_out() == {"links that lead to no file of the archive": 1}
        with pytest.raises(ImageError, match=r"data\.any: has no 'four'"):
            files.read("four")
    empty = tmp_path / "empty.zip"
    zipfile.ZipFile(empty, "w").close()
    with open_files(empty) as files:
        assert files.names() == []


def flagged(data: bytes, flag: int) -> bytes:
    """Set a flag bit of every member, in the directory and in its local header."""
    changed = bytearray(data)
    for magic, at in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = data.find(magic)
        while place >= 0:
            changed[place + at] |= flag
            place = data.find(magic, place + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-30], r"begins as a zip archive, but is truncated or damaged"),
        (lambda data: data[:300], r"begins as a zip archive, but is truncated or damaged"),
        (lambda data: flagged(data, 1), r"'a' is encrypted\. Fix: unpack .* password"),
        (
            lambda data: data.replace(b"three", b"../ee"),
            r"'\.\./\.\./ee|member '\./\.\./ee' is not",
        ),
    ],
)
def test_unsafe_zips_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    packed = make_zip(tmp_path / "data.zip")
    packed.write_bytes(change(packed.read_bytes()))
    with pytest.raises(ImageError, match=told), open_files(packed):
        pass


def test_a_member_of_a_zip_that_is_damaged_is_named(tmp_path: Path) -> None:
    packed = make_zip(tmp_path / "data.zip")
    data = bytearray(packed.read_bytes())
    with zipfile.ZipFile(packed) as whole:
        data[whole.getinfo("./a/b/two.bin").header_offset + 60] ^= 0xFF
    packed.write_bytes(data)
    check_whole(make_zip(tmp_path / "whole.zip"))
    with (
        open_files(packed) as files,
        pytest.raises(ImageError, match=r"'\./a/b/two\.bin' cannot be unpacked \(.* Fix: download"),
    ):
        files.read("a/b/two.bin")
    with pytest.raises(ImageError, match=r"'\./a/b/two\.bin' cannot be unpacked"):
        check_whole(packed)


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    packed = tmp_path / "data.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zeros:
        zeros.writestr("zeros", bytes(300_000))
    for limits in (Limits(total=100_000), Limits(member=100_000), Limits(ratio=2, least=100_000)):
        with (
            pytest.raises(ImageError, match=r"more than 100,000 bytes \(at 'zeros'\); refused"),
            open_files(packed, limits=limits),
        ):
            pass
