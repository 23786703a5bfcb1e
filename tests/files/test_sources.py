"""Sources are compared by content; unchanged files are not read again."""

import os
import time

import pytest

import kc.files.sources
from kc.errors import SourceError
from kc.files.sources import Source, digest_of
from kc.files.user_code import files_imported


@pytest.fixture
def reads(monkeypatch):
    """Count the files that are read."""
    seen = []
    read = kc.files.sources._read
    monkeypatch.setattr(
        kc.files.sources, "_read", lambda file: (seen.append(file.path), read(file))[1]
    )
    return seen


@pytest.fixture
def settled(monkeypatch):
    """Make every change count as old."""
    monkeypatch.setattr(kc.files.sources, "SETTLED_NS", -(10**12))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    for name in ("a/1.bmp", "a/2.bmp", "b/1.bmp"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_other_bytes_of_the_same_name_and_size_change_the_digest(folder):
    before = digest_of([folder])
    (folder / "a/1.bmp").write_bytes(b"a/1.bMP")
    assert digest_of([folder]) != before
    (folder / "a/1.bmp").write_bytes(b"a/1.bmp")
    assert digest_of([folder]) == before


def test_names_count_so_that_exchanging_two_files_changes_the_digest(folder):
    before = digest_of([folder])
    (folder / "a/1.bmp").rename(folder / "x")
    (folder / "a/2.bmp").rename(folder / "a/1.bmp")
    (folder / "x").rename(folder / "a/2.bmp")
    assert digest_of([folder]) != before


def test_the_digest_of_a_folder_does_not_depend_on_its_place(folder):
    before = digest_of([folder])
    assert digest_of([folder.rename(folder.with_name("elsewhere"))]) == before


def test_only_changed_files_are_read_again(folder, tmp_path, reads, settled):
    records = tmp_path / "records"
    before = digest_of([folder], records)
    assert len(reads) == 3
    assert digest_of([folder], records) == before
    assert len(reads) == 3
    os.utime(folder / "b/1.bmp")
    assert digest_of([folder], records) == before
    assert reads[3:] == [str(folder / "b/1.bmp")]
    (folder / "a/2.bmp").write_bytes(b"a/2.bMP")
    assert digest_of([folder], records) == digest_of([folder]) != before


def test_a_change_that_keeps_the_time_of_writing_is_detected(folder, tmp_path, settled):
    file = folder / "a/1.bmp"
    about = file.stat()
    before = digest_of([folder], tmp_path / "records")
    file.write_bytes(b"a/1.bMP")
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert digest_of([folder], tmp_path / "records") != before


def test_a_file_that_changed_just_before_it_was_read_is_read_again(folder, tmp_path, reads):
    records = tmp_path / "records"
    digest_of([folder], records)
    digest_of([folder], records)
    assert len(reads) == 6
    time.sleep(kc.files.sources.SETTLED_NS / 1e9)
    digest_of([folder], records)
    digest_of([folder], records)
    assert len(reads) == 9


def test_a_file_from_the_future_is_not_read_every_time(folder, tmp_path, reads, settled):
    os.utime(folder / "a/1.bmp", (2**33, 2**33))
    digest_of([folder], tmp_path / "records")
    digest_of([folder], tmp_path / "records")
    assert len(reads) == 3


def test_a_missing_source_keeps_its_digest(folder, tmp_path):
    records = tmp_path / "records"
    before = digest_of([folder], records)
    folder.rename(folder.with_name("elsewhere"))
    assert digest_of([folder], records) == before
    assert digest_of([folder]) == ""


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b"x" + b, lambda _: b""])
def test_a_damaged_record_is_not_used(folder, tmp_path, reads, settled, change):
    records = tmp_path / "records"
    before = digest_of([folder], records)
    (record,) = records.iterdir()
    record.write_bytes(change(record.read_bytes()))
    assert digest_of([folder], records) == before
    assert len(reads) == 6


def test_without_a_writable_folder_all_files_are_read_again(folder, tmp_path, reads):
    (tmp_path / "records").write_text("no folder")
    assert digest_of([folder], tmp_path / "records") == digest_of([folder])


def test_links_are_followed_once_and_hidden_files_do_not_count(folder, tmp_path):
    before = digest_of([folder])
    (folder / ".cache").write_text("no picture")
    assert digest_of([folder]) == before
    (folder / "a/loop").symlink_to(folder)
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    assert digest_of([folder]) == before
    (tmp_path / "more").mkdir()
    (tmp_path / "more/3.bmp").write_text("3")
    (folder / "c").symlink_to(tmp_path / "more")
    linked = digest_of([folder])
    assert linked != before
    (tmp_path / "more/3.bmp").write_text("4")
    assert digest_of([folder]) != linked


def test_a_source_that_changes_while_it_is_read_is_refused(folder, monkeypatch):
    source = Source.of(folder)
    source.check()
    (folder / "a/1.bmp").write_bytes(b"other")
    with pytest.raises(SourceError, match=r"photos: changed while it was read.*Fix: wait until"):
        source.check()

    stamp = kc.files.sources._stamp

    def grown(about):
        size, *rest = stamp(about)
        return (size + len(calls), *rest)

    calls = []
    monkeypatch.setattr(kc.files.sources, "_stamp", lambda a: (calls.append(1), grown(a))[1])
    with pytest.raises(SourceError, match=r"\.bmp: changed while it was read\. Fix: wait until"):
        digest_of([folder])


def test_a_file_that_cannot_be_read_is_named(folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(kc.files.sources.Path, "open", refuse)
    with pytest.raises(SourceError, match=r"a/1\.bmp: cannot be read: Permission denied"):
        digest_of([folder])
    monkeypatch.setattr(kc.files.sources.os, "scandir", refuse)
    with pytest.raises(SourceError, match=r"photos: cannot be read: Permission denied"):
        digest_of([folder])


def test_imported_modules_are_found_except_libraries(tmp_path):
    (tmp_path / "net.py").write_text(
        "import os, torch, blocks\nfrom parts.heads import Head\n"
        "def f():\n    import importlib\n    return importlib.import_module('late')\n"
    )
    (tmp_path / "blocks.py").write_text("import more.deep as d\n")
    (tmp_path / "late.py").write_text("from unfinished import (\n")
    (tmp_path / "unfinished.py").write_text("")
    (tmp_path / "other.py").write_text("nothing imports it")
    for name in ("parts/__init__.py", "parts/sub/__init__.py", "more/deep.py", "parts/sub/leaf.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "parts/heads.py").write_text("from . import trunk\nfrom .sub import leaf\n")
    (tmp_path / "parts/trunk.py").write_text("from ..parts import heads\n")
    found = {path.relative_to(tmp_path).as_posix() for path in files_imported(tmp_path / "net.py")}
    assert found == {
        *("net.py", "blocks.py", "late.py", "more/deep.py"),
        *("parts/__init__.py", "parts/heads.py", "parts/trunk.py"),
        *("parts/sub/__init__.py", "parts/sub/leaf.py"),
    }
