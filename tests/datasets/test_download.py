"""Downloads from a local server that interrupts, has no ranges, or sends a wrong file."""

import base64
import errno
import fcntl
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kc.datasets import download
from kc.datasets.download import Wanted, fetch, fetch_all
from kc.datasets.first_seen import SEEN, first_seen, record_seen
from kc.errors import DownloadError
from kc.files.checksum import differs

ROOT = Path(__file__).parents[2]


def archive(seed=0, size=600_000):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("noise")
        member.size = size
        tar.addfile(member, io.BytesIO(np.random.default_rng(seed).bytes(size)))
    return packed.getvalue()


DATA = archive()
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
OTHER = archive(1)


class Server:
    """Server that behaves as its attributes say and lists its requests."""

    def __init__(self):
        self.data, self.tag, self.ranges, self.asked = DATA, '"one"', True, []
        self.cuts, self.statuses, self.told = [], [], []
        """Bytes after which the next connections end, and statuses of the next answers."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *about):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.tar"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        begin, wanted = 0, handler.headers.get("Range")
        self.asked.append(wanted)
        self.told.append((handler.path, handler.headers.get("Authorization")))
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        same = handler.headers.get("If-Range") in (None, self.tag)
        if wanted and self.ranges and same:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(self.data):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(self.data)}")
                handler.end_headers()
                return
            handler.send_response(206)
            handler.send_header(
                "Content-Range", f"bytes {begin}-{len(self.data) - 1}/{len(self.data)}"
            )
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(self.data) - begin))
        if self.tag:
            handler.send_header("ETag", self.tag)
        handler.end_headers()
        end = begin + self.cuts.pop(0) if self.cuts else len(self.data)
        handler.wfile.write(self.data[begin:end])


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def get(server, path, checksum=SHA256):
    fetch(Wanted(server.url, path, checksum), attempts=3, pause=0.01)


def begins(server):
    return [int(r.removeprefix("bytes=").removesuffix("-")) if r else 0 for r in server.asked]


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_a_complete_file_needs_one_request(server, tmp_path, checksum):
    path = tmp_path / "there" / "data.tar"
    get(server, path, checksum)
    assert path.read_bytes() == DATA
    assert server.asked == [None]
    assert [p.name for p in path.parent.iterdir()] == ["data.tar"]


def test_an_interrupted_connection_is_resumed(server, tmp_path):
    server.cuts = [300_000, 200_000]
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA
    first, second, third = begins(server)
    assert first == 0
    assert 200_000 < second <= 300_000
    assert 400_000 < third <= 500_000


def test_another_process_resumes_where_the_first_gave_up(server, tmp_path):
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"given up after 3 attempts .* kept in .*part"):
        get(server, tmp_path / "data.tar")
    assert not (tmp_path / "data.tar").exists()
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA
    assert begins(server)[-1] > 200_000


def test_without_ranges_the_download_starts_again(server, tmp_path):
    server.ranges, server.cuts = False, [300_000]
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA
    assert begins(server)[1] > 0


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_resumed(server, tmp_path, tag):
    server.tag, server.cuts = tag, [300_000]
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA
    assert begins(server) == [0, 0]


def test_a_changed_file_is_downloaded_from_the_start(server, tmp_path):
    server.data, server.tag, server.cuts = OTHER, '"old"', [300_000, 0, 0, 0]
    with pytest.raises(DownloadError, match="given up"):
        get(server, tmp_path / "data.tar")
    server.data, server.tag = DATA, '"new"'
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA


def test_an_interruption_after_the_last_byte_downloads_nothing_again(server, tmp_path):
    (tmp_path / "data.tar.part").write_bytes(DATA)
    state = {"url": server.url, "validator": server.tag}
    (tmp_path / "data.tar.part.json").write_text(json.dumps(state))
    get(server, tmp_path / "data.tar")
    assert begins(server) == [len(DATA)]
    assert (tmp_path / "data.tar").read_bytes() == DATA


@pytest.mark.parametrize("validator", [5, None, '"one"\r\nX: y', "cut"])
def test_a_damaged_state_of_a_partial_file_is_ignored(server, tmp_path, validator):
    (tmp_path / "data.tar.part").write_bytes(DATA[:9])
    text = json.dumps({"url": server.url, "validator": validator})
    (tmp_path / "data.tar.part.json").write_text(text[:-1] if validator == "cut" else text)
    get(server, tmp_path / "data.tar")
    assert begins(server) == [0]
    assert (tmp_path / "data.tar").read_bytes() == DATA


@pytest.mark.parametrize("note", [{"url": "x"}, [{"url": "x", "validator": None}], {}])
def test_a_partial_file_without_a_state_of_kc_is_not_changed(server, tmp_path, note):
    (tmp_path / "data.tar.part").write_bytes(DATA[:9])
    (tmp_path / "data.tar.part.json").write_text(json.dumps(note))
    with pytest.raises(
        DownloadError, match=r"\.part: kc did not begin this download.* not changed"
    ):
        get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar.part").read_bytes() == DATA[:9]
    assert begins(server) == []


@pytest.mark.parametrize("wrong", [OTHER, DATA[:-1], b"<html>not found</html>"])
def test_a_wrong_file_is_refused_and_moved_aside(server, tmp_path, wrong):
    server.data = wrong
    told = r"data\.tar: not the file .* expected sha256:.* not unpacked, but moved to .*\.refused"
    with pytest.raises(DownloadError, match=told):
        get(server, tmp_path / "data.tar")
    assert {p.name for p in tmp_path.iterdir()} == {"data.tar.refused"}
    assert (tmp_path / "data.tar.refused").read_bytes() == wrong
    server.data = DATA
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA


def test_a_flipped_bit_in_the_part_is_found(server, tmp_path):
    server.cuts = [300_000, 0, 0, 0]
    with pytest.raises(DownloadError, match="given up"):
        get(server, tmp_path / "data.tar")
    part = tmp_path / "data.tar.part"
    content = bytearray(part.read_bytes())
    content[1000] ^= 1
    part.write_bytes(content)
    with pytest.raises(DownloadError, match="not the file"):
        get(server, tmp_path / "data.tar")


def test_without_a_checksum_that_of_the_first_download_is_required(server, tmp_path, caplog):
    path = tmp_path / "data.tar"
    get(server, path, None)
    assert "expected from now on" in caplog.text
    kept = json.loads((tmp_path / SEEN).read_text())
    assert kept == {"data.tar": {"checksum": SHA256, "url": server.url}}
    path.unlink()
    server.data = OTHER
    with pytest.raises(DownloadError, match="not the file"):
        get(server, path, None)
    server.data = DATA
    get(server, path, None)
    assert path.read_bytes() == DATA


def test_a_page_is_not_trusted_on_first_use(server, tmp_path):
    server.data = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match=r"no archive that kc reads, it is text in HTML"):
        get(server, tmp_path / "data.tar", None)
    assert not (tmp_path / SEEN).exists()


def test_an_existing_file_is_checked_and_never_overwritten(server, tmp_path):
    path = tmp_path / "data.tar"
    path.write_bytes(DATA)
    get(server, path)
    path.write_bytes(OTHER)
    with pytest.raises(DownloadError, match=r"there already, but .* not changed"):
        get(server, path)
    assert path.read_bytes() == OTHER
    assert server.asked == []


def secret(server):
    """Return an address with a password and a token, and the request it should cause."""
    url = server.url.replace("://", "://me:hunter2@") + "?token=hunter3"
    about = ("/data.tar?token=hunter3", "Basic " + base64.b64encode(b"me:hunter2").decode())
    return url, about


def kept_of(folder, caplog):
    return caplog.text + "".join(p.read_text(errors="replace") for p in folder.iterdir())


def test_a_password_is_used_but_neither_shown_nor_stored(server, tmp_path, caplog):
    caplog.set_level("INFO")
    url, told = secret(server)
    server.cuts = [300_000, 0, 0, 0]
    wanted = Wanted(url, tmp_path / "data.tar", None)
    with pytest.raises(DownloadError, match="given up") as caught:
        fetch(wanted, attempts=3, pause=0.01)
    assert "hunter" not in "".join(traceback.format_exception(caught.value))
    state = json.loads((tmp_path / "data.tar.part.json").read_text())
    assert state["url"] == server.url.replace("://", "://***@") + "?***"
    assert "hunter" not in kept_of(tmp_path, caplog)
    # another token resumes the same file
    fetch(wanted._replace(url=url.replace("hunter3", "hunter4")), attempts=3, pause=0.01)
    assert (tmp_path / "data.tar").read_bytes() == DATA
    assert begins(server)[-1] > 200_000
    assert server.told[0] == told
    assert json.loads((tmp_path / SEEN).read_text())["data.tar"]["url"] == state["url"]
    assert "hunter" not in kept_of(tmp_path, caplog)
    assert "downloaded from" in caplog.text


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://me:hunter2@127.0.0.1:1/a.tar?sig=hunter2", "given up"),
        ("http://me:hunter2@127.0.0.1:1/a.tar?hunter2", "given up"),
        ("http://me:hunter2%E4%B8%AD@127.0.0.1:1/a.tar", "cannot be downloaded"),
        ("nothing://me:hunter2@host/a.tar", "cannot be downloaded"),
    ],
)
def test_an_address_that_does_not_answer_shows_no_password(tmp_path, caplog, url, told):
    with pytest.raises(DownloadError, match=told) as caught:
        fetch(Wanted(url, tmp_path / "a.tar", SHA256), attempts=2, pause=0.01)
    assert "hunter" not in "".join(traceback.format_exception(caught.value)) + caplog.text


def test_refused_files_and_statuses_show_no_password(server, tmp_path):
    url, _ = secret(server)
    server.data = b"<html>not found</html>"
    with pytest.raises(DownloadError, match="not the file") as refused:
        fetch(Wanted(url, tmp_path / "data.tar", SHA256), 1, 0.01)
    server.statuses = [404]
    with pytest.raises(DownloadError, match="answers 404") as missing:
        fetch(Wanted(url, tmp_path / "data.tar", SHA256), 1, 0.01)
    assert "hunter" not in f"{refused.value}{missing.value}"


def test_an_extracted_folder_is_not_changed(server, tmp_path):
    get(server, tmp_path)
    assert server.asked == []


def test_a_busy_server_is_asked_again_and_a_missing_page_is_not(server, tmp_path):
    server.statuses = [503, 429]
    get(server, tmp_path / "data.tar")
    assert len(server.asked) == 3
    server.statuses = [404]
    with pytest.raises(DownloadError, match=r"answers 404 .*put it at .*other\.tar"):
        get(server, tmp_path / "other.tar")
    assert len(server.asked) == 4


def test_a_second_download_is_refused_while_the_first_runs(server, tmp_path):
    with (tmp_path / "data.tar.part").open("ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process is downloading it"):
            get(server, tmp_path / "data.tar")


def test_a_partial_file_is_locked_until_it_is_renamed(server, tmp_path, monkeypatch):
    path, refused = tmp_path / "data.tar", []

    def checked(*about):
        with pytest.raises(DownloadError, match="another process is downloading it") as caught:
            get(server, path)
        refused.append(caught)
        return differs(*about)

    monkeypatch.setattr(download, "differs", checked)
    get(server, path)
    assert path.read_bytes() == DATA
    assert len(refused) == 1


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_a_file_that_was_renamed_meanwhile_is_not_truncated(
    server, tmp_path, monkeypatch, checksum
):
    path, part, true = tmp_path / "data.tar", tmp_path / "data.tar.part", fcntl.flock
    part.write_bytes(b"")

    def late(file, how):
        if (
            part.exists() and not path.exists()
        ):  # the other process ends between opening and locking
            part.write_bytes(DATA)
            part.rename(path)
        true(file, how)

    monkeypatch.setattr(download.fcntl, "flock", late)
    get(server, path, checksum)
    assert path.read_bytes() == DATA
    assert not part.exists()
    assert not server.asked


def test_concurrent_downloads_lose_no_checksum(tmp_path):
    paths = [tmp_path / f"{number}.tar" for number in range(40)]
    for path in paths:
        path.write_bytes(path.name.encode())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: record_seen(f"http://x/{path.name}", path), paths))
    assert set(first_seen(paths[0])) == {path.name for path in paths}


def test_with_nothing_to_download_the_error_names_the_preset():
    with pytest.raises(DownloadError, match=r"snakemake .* download .*paper\.yaml"):
        fetch_all([])


@pytest.mark.parametrize("text", ["[]", "{", '{"data.tar": {"checksum": "abc"}}'])
def test_a_damaged_list_of_checksums_is_named(server, tmp_path, text):
    (tmp_path / SEEN).write_text(text)
    with pytest.raises(
        DownloadError, match=r"checksums\.json: not readable .* correct or remove it"
    ):
        get(server, tmp_path / "data.tar", None)


def test_a_full_disk_keeps_the_partial_file(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("kc.datasets.download._go_on", full)
        with pytest.raises(DownloadError, match=r"No space left .* What came is kept"):
            get(server, tmp_path / "data.tar")
    get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar").read_bytes() == DATA


def test_the_target_downloads_the_archives_of_the_settings(server, tmp_path):
    """No other target does: see test_dag."""
    digits = hashlib.md5(DATA).hexdigest()
    (tmp_path / "mine.yaml").write_text(
        f"datasets: {{birds: {{archive: data.tar, url: '{server.url}', md5: {digits}}}}}"
    )
    command = [sys.executable, "-m", "snakemake", "download", "--cores", "1"]
    command += ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path]
    command += ["--configfile", tmp_path / "mine.yaml", "--config", "data_root=there"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "there" / "data.tar").read_bytes() == DATA
    assert "downloaded from" in (tmp_path / "results" / "logs" / "download.log").read_text()


@pytest.mark.parametrize("state", [None, '{"mine": 1}'])
def test_a_partial_file_of_another_program_is_not_changed(server, tmp_path, state):
    part = tmp_path / "data.tar.part"
    part.write_bytes(b"a browser's")
    if state is not None:
        (tmp_path / "data.tar.part.json").write_text(state)
    with pytest.raises(DownloadError, match=r"part: kc did not begin this download.*Fix: move it"):
        get(server, tmp_path / "data.tar")
    assert part.read_bytes() == b"a browser's"
    assert server.asked == []


@pytest.mark.parametrize("name", ["data.tar.part", "data.tar.part.json"])
def test_a_link_in_place_of_a_partial_file_is_not_followed(server, tmp_path, name):
    (tmp_path / "mine").write_bytes(b"")
    (tmp_path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(DownloadError, match="kc did not begin this download"):
        get(server, tmp_path / "data.tar")
    assert (tmp_path / "mine").read_bytes() == b""


def test_files_next_to_a_download_are_not_overwritten(server, tmp_path):
    (tmp_path / "data.tar.refused").write_bytes(b"mine")
    (tmp_path / "mine.json").write_text("{}")
    (tmp_path / SEEN).symlink_to(tmp_path / "mine.json")
    get(server, tmp_path / "data.tar", None)
    assert (tmp_path / "mine.json").read_text() == "{}"
    (tmp_path / "data.tar").unlink()
    server.data = OTHER
    with pytest.raises(DownloadError, match=r"moved to .*data\.tar\.refused2\."):
        get(server, tmp_path / "data.tar")
    assert (tmp_path / "data.tar.refused").read_bytes() == b"mine"


def test_an_interruption_during_renaming_keeps_a_complete_part_usable(
    server, tmp_path, monkeypatch
):
    def dying(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kc.datasets.download.differs", dying)
        with pytest.raises(KeyboardInterrupt):
            get(server, tmp_path / "data.tar")
    get(server, tmp_path / "data.tar")
    assert begins(server) == [0, len(DATA)]
    assert {path.name for path in tmp_path.iterdir()} == {"data.tar"}
