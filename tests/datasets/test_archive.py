import bz2
import gzip
import hashlib
import io
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kc.datasets.archive import check_whole, open_files, open_folder_of
from kc.datasets.members import climbs
from kc.datasets.unpack import Limits, unpack_to
from kc.errors import ImageError

CONTENT = {"a/one.txt": b"one", "a/b/two.bin": bytes(range(256)) * 40, "three": b""}


def make_tar(path: Path, mode: str = "w", extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, data in CONTENT.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for member in extra:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def special(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, size
    return member


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archive_and_folder_read_the_same(tmp_path: Path, mode: str) -> None:
    packed = make_tar(tmp_path / "data.any", mode)
    folder = tmp_path / "folder"
    for name, data in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for where in (packed, folder):
        with open_files(where, spool=tmp_path) as files:
            assert files.names() == sorted(CONTENT)
            assert {name: files.read(name) for name in reversed(files.names())} == CONTENT
            assert "a/one.txt" in files
            assert "a" not in files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.any", "folder"]


def test_unknown_member_is_named(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "data.tar")
    with (
        open_files(packed) as files,
        pytest.raises(ImageError, match=r"data\.tar: has no 'a/four'"),
    ):
        files.read("a/four")
    with (
        open_files(tmp_path) as files,
        pytest.raises(ImageError, match=r"'four' cannot be read: No such file"),
    ):
        files.read("four")


def test_folder_refuses_names_that_leave_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    inner = tmp_path / "inner"
    inner.mkdir()
    with open_files(inner) as files:
        assert "../secret" not in files
        with pytest.raises(ImageError, match=r"'\.\./secret' leaves the folder; refused"):
            files.read("../secret")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("a/b.jpg", False),
        ("a..b/c", False),
        ("../a", True),
        ("a/../../b", True),
        ("/etc/passwd", True),
        ("a\\..\\b", True),
        ("C:/a", True),
    ],
)
def test_climbs(name: str, answer: bool) -> None:
    assert climbs(name) is answer


@pytest.mark.parametrize(
    "member",
    [
        special("../out.txt"),
        special("a/../../out.txt"),
        special("/abs.txt"),
        special("link", tarfile.SYMTYPE, "../../etc/passwd"),
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard", tarfile.LNKTYPE, "../outside"),
        special("device", tarfile.CHRTYPE),
        special("disk", tarfile.BLKTYPE),
        special("pipe", tarfile.FIFOTYPE),
    ],
    ids=[
        *("climbs", "climbs late", "absolute", "symlink", "symlink absolute", "hard", "dev"),
        *("block dev", "fifo"),
    ],
)
def test_unsafe_members_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    packed = make_tar(tmp_path / "data.tgz", "w:gz", (member,))
    with (
        pytest.raises(ImageError, match=rf"member '{member.name}' is not safe: .*Nothing was read"),
        open_files(packed),
    ):
        pass


def test_links_within_an_archive_are_followed_once(tmp_path: Path) -> None:
    """A file with two names is stored once; nothing outside the archive is read."""
    extra = (
        special("hard", tarfile.LNKTYPE, "a/one.txt"),
        special("./hard2", tarfile.LNKTYPE, "./a//one.txt"),
        special("a/soft", tarfile.SYMTYPE, "one.txt"),
        special("b/folder", tarfile.SYMTYPE, "../a"),
        special("over", tarfile.SYMTYPE, "hard"),
        # none of these leads to a file: forwards, to a link, to nothing, to a surrounding folder
        special("early", tarfile.LNKTYPE, "late"),
        special("late", size=3),
        special("twice", tarfile.SYMTYPE, "a/soft"),
        special("nothing", tarfile.SYMTYPE, "a/none"),
        special("a/ring", tarfile.SYMTYPE, "../a"),
        special("all", tarfile.SYMTYPE, "."),
        special("itself", tarfile.SYMTYPE, "itself"),
    )
    packed = make_tar(tmp_path / "data.tar", "w", extra)
    with open_files(packed) as files:
        added = {"hard", "hard2", "a/soft", "b/folder/one.txt", "b/folder/b/two.bin", "over"}
        assert set(files.names()) == {*CONTENT, *added, "late"}
        assert files.left_out() == {"links that lead to no file of the archive": 6}
        for name in added - {"b/folder/b/two.bin"}:
            assert files.read(name) == b"one"
        assert files.read("b/folder/b/two.bin") == CONTENT["a/b/two.bin"]


def test_links_to_folders_do_not_multiply_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kc.datasets.members.MOST", 7)
    links = tuple(special(f"l{n}", tarfile.SYMTYPE, "a") for n in range(9))
    with open_files(make_tar(tmp_path / "data.tar", "w", links)) as files:
        assert len(files.names()) == len(CONTENT) + 6
        assert files.left_out() == {"links to folders, of too many": 6}


def test_files_left_out_of_a_folder_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/one.txt", "a/.hidden", ".DS_Store"):
        (tmp_path / name).write_bytes(b"one")
    (tmp_path / "lost").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "a/ring").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with open_files(tmp_path) as files:
        assert files.names() == ["a/one.txt"]
        assert files.left_out() == {
            "hidden": 2,
            "links that lead nowhere": 2,
            "links back to a folder around them": 1,
            "pipes, sockets and devices": 1,
        }


def test_a_name_that_no_file_can_have_is_missing(tmp_path: Path) -> None:
    with open_files(tmp_path) as files:
        assert "x" * 300 not in files
        assert "a\0b" not in files


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_an_archive_is_read_completely_without_unpacking_it(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    data = pack(make_tar(tmp_path / "whole.tar").read_bytes())
    packed = tmp_path / "data.any"
    packed.write_bytes(data)
    check_whole(packed)
    packed.write_bytes(data[: len(data) // 3])
    with pytest.raises(ImageError, match="truncated"):
        check_whole(packed)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x93NUMPY", "an array of NumPy"),
    ],
)
def test_the_error_names_the_format_of_other_files(tmp_path: Path, start: bytes, told: str) -> None:
    packed = tmp_path / "data.tar"
    packed.write_bytes(start + bytes(range(250)) * 4)
    with (
        pytest.raises(
            ImageError, match=rf"no archive that kc reads, it is {told}\. Expected a tar"
        ),
        open_files(packed),
    ):
        pass


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "data.tgz", "w:gz", (special("zeros", size=300_000),))
    assert packed.stat().st_size < 10_000
    with (
        pytest.raises(ImageError, match=r"unpacks? to more than 100,000 bytes; refused"),
        open_files(packed, limits=Limits(total=100_000)),
    ):
        pass
    with (
        pytest.raises(ImageError, match=r"'zeros' unpacks to 300,000 bytes, more than 200,000"),
        open_files(packed, limits=Limits(member=200_000)),
    ):
        pass
    plain = make_tar(tmp_path / "data.tar", "w", (special("zeros", size=300_000),))
    with (
        pytest.raises(ImageError, match=r"unpacks? to more than 100,000 bytes; refused"),
        open_files(plain, limits=Limits(total=100_000)),
    ):
        pass
    with open_files(packed, limits=Limits(300_000, 400_000)) as files:
        assert len(files.read("zeros")) == 300_000


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.93])
def test_truncated_archives_are_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes], kept: float
) -> None:
    plain = make_tar(tmp_path / "whole.tar").read_bytes()
    end = plain.rstrip(b"\0").__len__()
    data = pack(plain)
    size = int(kept * (end if pack is bytes else len(data)))
    packed = tmp_path / "data.any"
    packed.write_bytes(data[:size])
    with (
        pytest.raises(
            ImageError, match=r"data\.any: truncated or no tar archive .*download it again"
        ),
        open_files(packed),
    ):
        pass


@pytest.mark.parametrize(
    "header",
    [
        {"size": "99999999999999999999"},
        {"size": "-5"},
        {"GNU.sparse.map": "x,y"},
        {"GNU.sparse.size": "zz"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, header: dict[str, str]) -> None:
    member = special("a.jpg", size=512)
    member.pax_headers = header
    packed = tmp_path / "data.tar"
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"zz\n1\n2\n" + bytes(505)))
    with (
        pytest.raises(ImageError, match=r"data\.tar: truncated or no tar archive"),
        open_files(packed),
    ):
        pass


@pytest.mark.parametrize("kind", [b"L", b"x"])
def test_endless_headers_are_refused(tmp_path: Path, kind: bytes) -> None:
    header = special("././@LongLink", kind, size=12).tobuf(tarfile.GNU_FORMAT)
    packed = tmp_path / "data.tar"
    packed.write_bytes((header + b"12 path=abc\n".ljust(512, b"\0")) * 3000 + bytes(1024))
    with (
        pytest.raises(ImageError, match=r"data\.tar: truncated or no tar archive \(.*recursion"),
        open_files(packed),
    ):
        pass


def test_a_name_with_a_nul_is_refused(tmp_path: Path) -> None:
    member = special("a")
    member.pax_headers = {"path": "a\0b"}
    packed = make_tar(tmp_path / "data.tar", "w", (member,))
    with (
        pytest.raises(ImageError, match=r"is not safe: its name holds a NUL\. Nothing was read"),
        open_files(packed),
    ):
        pass


def test_archive_cut_between_members_is_refused(tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "whole.tar")
    with tarfile.open(whole) as tar:
        cut = tar.getmembers()[1].offset
    short = tmp_path / "short.tar"
    short.write_bytes(whole.read_bytes()[:cut])
    with (
        pytest.raises(ImageError, match=r"truncated .*its end mark is missing"),
        open_files(short),
    ):
        pass


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "page.tgz"
    other.write_text("<html>not found</html>" * 100)
    with (
        pytest.raises(ImageError, match=r"it is text in HTML or XML\. Expected a tar .* Fix: "),
        open_files(other),
    ):
        pass


def test_error_of_a_missing_archive_names_folder_and_address(tmp_path: Path) -> None:
    where = tmp_path / "cub" / "CUB.tgz"
    with (
        pytest.raises(ImageError) as caught,
        open_files(where, url="https://example.org/CUB.tgz", md5="0" * 32),
    ):
        pass
    text = str(caught.value)
    assert str(where) in text
    assert f"no folder (in {where.parent})" in text
    assert f"Download address: https://example.org/CUB.tgz (md5 {'0' * 32})" in text
    assert "--config data_root=FOLDER" in text
    with (
        pytest.raises(ImageError, match=r"there is no archive and no folder") as bare,
        open_files(where),
    ):
        pass
    assert "Download address" not in str(bare.value)


def test_a_given_md5_is_checked(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "data.tar")
    right = hashlib.md5(packed.read_bytes()).hexdigest()
    with open_files(packed, md5=right) as files:
        assert files.names() == sorted(CONTENT)
    with (
        pytest.raises(
            ImageError,
            match=rf"checksum is md5:{right}, expected md5:{'0' * 32}.*download it again",
        ),
        open_files(packed, md5="0" * 32),
    ):
        pass


def test_the_error_of_a_full_disk_does_not_blame_the_archive(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "data.tgz", "w:gz")
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        pytest.raises(ImageError, match=r"no room to unpack it \(No space left on device"),
    ):
        unpack_to(packed, gzip.GzipFile, full, Limits())


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compression_ratio_that_no_pictures_have_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """The counter-example is noise of the same size: only extreme compression is refused."""
    limits = Limits(ratio=20, least=1000)
    size = 300_000
    for name, data in (("bomb", bytes(size)), ("noise", np.random.default_rng(0).bytes(size))):
        plain = tmp_path / f"{name}.tar"
        with tarfile.open(plain, "w") as tar:
            tar.addfile(special("file", size=size), io.BytesIO(data))
        (tmp_path / name).write_bytes(pack(plain.read_bytes()))
    with open_files(tmp_path / "noise", limits=limits) as files:
        assert files.names() == ["file"]
    allowed = 20 * (tmp_path / "bomb").stat().st_size
    with (
        pytest.raises(ImageError, match=rf"bytes unpack to more than {allowed:,} bytes; refused"),
        open_files(tmp_path / "bomb", limits=limits),
    ):
        pass
    with open_files(tmp_path / "bomb", limits=limits._replace(least=size * 2)) as files:
        assert files.names() == ["file"]


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    holes = tmp_path / "holes"
    with holes.open("wb") as file:
        file.truncate(1 << 24)
        file.seek(1 << 23)
        file.write(b"x")
    packed = tmp_path / "sparse.tar"
    subprocess.run(["tar", "--sparse", "-cf", packed, "-C", tmp_path, "holes"], check=True)
    assert packed.stat().st_size < 1 << 20
    with (
        pytest.raises(ImageError, match=r"sparse\.tar: holds a sparse file; refused"),
        open_files(packed),
    ):
        pass


def test_archives_in_a_folder_are_checked_by_known_checksums(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "images.tar")
    right = f"sha256:{hashlib.sha256(packed.read_bytes()).hexdigest()}"
    for known in ({}, {"images.tar": None}, {"images.tar": right}):
        with open_folder_of(tmp_path, ["images.tar"], known) as files:
            assert "a/one.txt" in files
    with (
        pytest.raises(
            ImageError, match=rf"images\.tar: its checksum is {right}, expected sha256:0"
        ),
        open_folder_of(tmp_path, ["images.tar"], {"images.tar": f"sha256:{'0' * 64}"}),
    ):
        pass


def test_a_refused_archive_leaves_no_files(tmp_path: Path) -> None:
    packed = make_tar(tmp_path / "data.tgz", "w:gz", (special("../out.txt"),))
    (tmp_path / "spool").mkdir()
    with pytest.raises(ImageError), open_files(packed, spool=tmp_path / "spool"):
        pass
    assert {path.name for path in tmp_path.rglob("*")} == {"data.tgz", "spool"}
