"""Files are written through temporary files: completely, and only while locks hold."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kc.errors import StoreError
from kc.files import aside
from kc.files.aside import put_in_place, target_of, write_whole, writing
from kc.store.files import write_bytes_atomic
from kc.store.lock import HeldError, lock

ASIDE = """
import os, sys
from pathlib import Path
from kc.files.aside import put_in_place
with put_in_place(Path(sys.argv[1])) as file:
    print(os.path.basename(file.name), flush=True)
    file.write(b"half")
    file.flush()
    sys.stdin.read(1)
"""


def writer(path):
    command = [sys.executable, "-c", ASIDE, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return child, child.stdout.readline().strip()


def test_two_processes_write_the_same_file_through_separate_temporary_files(tmp_path):
    path = tmp_path / "table.csv"
    child, name = writer(path)
    assert target_of(name) == "table.csv"
    write_bytes_atomic(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert (tmp_path / name).read_bytes() == b"half"
    child.communicate("x")
    assert child.returncode == 0
    assert path.read_bytes() == b"half"


def test_temporary_files_of_killed_processes_are_removed_and_of_living_ones_kept(tmp_path):
    child, left = writer(tmp_path / "a")
    other, kept = writer(tmp_path / "b")
    child.kill()
    child.communicate()
    mine = tmp_path / ".mine.aside"
    mine.write_text("a user's")
    write_whole(tmp_path / "c", b"c")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept, mine.name, "c"])
    assert left != kept
    other.kill()
    other.communicate()


@pytest.mark.parametrize("name", ["table.csv", ".hidden", "a.aside", "0"])
def test_the_final_name_is_found_from_a_temporary_file(tmp_path, name):
    with put_in_place(tmp_path / name) as file:
        assert target_of(Path(file.name).name) == name
    assert target_of(name) == name


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "no space left on the disk.*make room and run the same command again"),
        (errno.EFBIG, "cannot be written.*ulimit -f"),
        (errno.EROFS, "cannot be written.*write elsewhere"),
        (errno.EACCES, "cannot be written.*make it writable"),
        (errno.EIO, "cannot be written.*check the disk"),
    ],
)
def test_errors_of_the_disk_are_shown_with_a_fix(tmp_path, number, text):

    def write():
        with put_in_place(tmp_path / "f") as file:
            file.write(b"half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(StoreError, match=text):
        write()
    assert list(tmp_path.iterdir()) == []


def test_other_errors_are_not_shown_as_errors_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="Interrupted"), writing(tmp_path):
        raise OSError(errno.EINTR, os.strerror(errno.EINTR))


def test_a_file_size_limit_of_the_shell_is_named(tmp_path):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from pathlib import Path; from kc.store.files import write_bytes_atomic\n"
        f"write_bytes_atomic(Path({str(tmp_path / 'f')!r}), bytes(5000))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "StoreError" in done.stderr.splitlines()[-1]
    assert "ulimit -f" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_content_and_name_are_on_the_disk_before_the_writer_returns(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        os, "fsync", lambda opened: seen.append(Path(f"/proc/self/fd/{opened}").readlink())
    )
    write_bytes_atomic(tmp_path / "f", b"x")
    assert [target_of(path.name) for path in seen] == ["f", tmp_path.name]
    seen.clear()
    write_whole(tmp_path / "g", b"x")
    assert seen == []


@pytest.mark.parametrize("how", ["taken", "removed"])
def test_an_owner_that_lost_its_lock_writes_nothing_more(tmp_path, how):
    path = tmp_path / "lock"
    held = lock(path)
    write_bytes_atomic(tmp_path / "before", b"x")
    if how == "taken":  # as a process of another machine does after a long silence
        path.write_text('{"host": "other", "pid": 7}')
    else:
        path.unlink()
    with pytest.raises(HeldError, match=r"taken over by another process, or removed.*Fix"):
        write_bytes_atomic(tmp_path / "after", b"x")
    held.close()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "lock") == ["before"]
    if how == "taken":
        assert "other" in path.read_text()  # the text of the new owner is kept
    assert aside.GUARDS == []
    write_bytes_atomic(tmp_path / "after", b"x")
