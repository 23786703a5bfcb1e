"""Unusual answers of servers: each ends in the correct file, or in one error and no file."""

import gzip
import hashlib
import io
import json
import re
import socket
import tarfile
import threading
import zipfile

import numpy as np
import pytest

from kc.datasets.download import Wanted, fetch
from kc.datasets.first_seen import SEEN
from kc.errors import DownloadError


def archive(seed=0, mode="w"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        member = tarfile.TarInfo("noise")
        member.size = 200_000
        tar.addfile(member, io.BytesIO(np.random.default_rng(seed).bytes(member.size)))
    return packed.getvalue()


DATA, OTHER = archive(), archive(1)
SHA256 = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def said(*headers, body=DATA, status="200 OK", length=None):
    """Format an answer; an empty ``length`` is not sent."""
    length = len(body) if length is None else length
    counted = () if length == "" else (f"Content-Length: {length}",)
    lines = (f"HTTP/1.1 {status}", *counted, *headers, "Connection: close", "", "")
    return "\r\n".join(lines).encode("latin-1") + body


class Said:
    """Server that answers each request with a function of it."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/data.tar"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(1 << 16).decode()
                self.asked.append(request)
                try:
                    connection.sendall(self.answer(request))
                except OSError:
                    continue


@pytest.fixture
def ask(tmp_path):
    """Return a function that downloads from a server of these answers and returns the file."""
    servers = []

    def asked(answer, checksum=SHA256):
        server = Said(answer if callable(answer) else lambda _: answer)
        servers.append(server)
        fetch(Wanted(server.url, tmp_path / "data.tar", checksum), attempts=3, pause=0.001)
        return (tmp_path / "data.tar").read_bytes()

    yield asked
    for server in servers:
        # close alone does not wake a thread in accept
        server.socket.shutdown(socket.SHUT_RDWR)
        server.socket.close()


@pytest.mark.parametrize(
    "answer",
    [
        said(length="abc"),
        said(length=-5),
        said("Content-Encoding: br"),
        said("ETag: caf\xe9"),
        said("Content-Range: bytes 0-9/10", status="206 Partial"),
    ],
    ids=["length abc", "length -5", "brotli that is none", "latin tag", "206 unasked"],
)
def test_unusual_answers_with_the_complete_file_are_accepted(ask, answer):
    assert ask(answer) == DATA


def test_bytes_are_not_decoded(ask):
    """Some servers send a .tgz with Content-Encoding gzip; decoded, it would be another file."""
    packed = archive(mode="w:gz")
    checksum = f"sha256:{hashlib.sha256(packed).hexdigest()}"
    assert ask(said("Content-Encoding: x-gzip", body=packed), checksum) == packed


BOMB = gzip.compress(bytes(80 << 20), 9)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (said("Location: file:///etc/passwd", status="302 X"), r"cannot be downloaded \(Inv"),
        (said("Location: ftp://127.0.0.1/x", status="302 X"), r"cannot be downloaded \(Inv"),
        (said("Location: http://[::1", status="302 X"), r"cannot be downloaded \(Val"),
        (
            said("Location: /again", status="302 X"),
            r"cannot be downloaded \(TooM.* put it at .*tar\.",
        ),
        (said("Content-Length: 7"), r"cannot be downloaded \(InvalidHeader\)"),
        (said(length=len(DATA) + 9), "given up after 3 attempts"),
        (said("Content-Encoding: gzip", body=b"\x1f\x8bxxx"), "its checksum is .*, expected"),
        (said("Content-Encoding: gzip", body=BOMB), "its checksum is .*, expected"),
        (said("Transfer-Encoding: chunked", body=b"zz\r\nabc", length=""), "given up"),
        (said(body=b"", status="204 No"), "its checksum is .*, expected"),
        (b"hello\r\n\r\n", "given up after 3 attempts"),
        (said("X: " + "a" * 100_000), "given up after 3 attempts"),
        (said(length=len(DATA))[:3000], "given up after 3 attempts"),
    ],
)
def test_invalid_answers_end_in_one_error(ask, tmp_path, answer, told):
    with pytest.raises(DownloadError, match=told):
        ask(answer)
    assert not (tmp_path / "data.tar").exists()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


def pieces(data=DATA, tag='"one"', offset=0):
    """Answer first half of a file, then pieces of ``data`` that start ``offset`` too late."""

    def answer(request):
        asked = re.search(r"Range: bytes=(\d+)-", request)
        if not asked:
            return said('ETag: "one"', length=len(DATA))[:100_000]
        begin = int(asked[1])
        about = f"Content-Range: bytes {begin + offset}-{len(data) - 1}/{len(data)}"
        return said(f"ETag: {tag}", about, body=data[begin:], status="206 Partial")

    return answer


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_pieces_of_one_file_are_joined(ask, checksum):
    assert ask(pieces(), checksum) == DATA


@pytest.mark.parametrize("checksum", [SHA256, None])
def test_wrong_pieces_are_not_requested_endlessly(ask, tmp_path, checksum):
    with pytest.raises(
        DownloadError, match=r"given up .*206, not for the bytes that were requested"
    ):
        ask(pieces(offset=10), checksum)
    assert not (tmp_path / SEEN).exists()


def test_a_piece_of_another_file_is_not_joined(ask, tmp_path):
    """Without a checksum, the tag shows it."""
    with pytest.raises(
        DownloadError, match=r"given up .*206, not for the bytes that were requested"
    ):
        ask(pieces(OTHER, '"two"'), None)
    with pytest.raises(DownloadError, match=r"its checksum is .*, expected"):
        ask(pieces(OTHER, '"two"'))
    assert not (tmp_path / "data.tar").exists()


def test_one_more_byte_per_attempt_is_no_progress(ask):
    sizes = iter(range(1, 1000))
    with pytest.raises(DownloadError, match="given up after 3 attempts"):
        ask(lambda _: said(length=len(DATA))[: 80 + next(sizes)])


def zipped():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("noise", np.random.default_rng(0).bytes(200_000))
    return packed.getvalue()


@pytest.mark.parametrize("whole", [DATA, archive(mode="w:gz"), archive(mode="w:xz"), zipped()])
def test_a_truncated_archive_is_not_trusted_on_first_use(ask, tmp_path, whole):
    """The length is missing or wrong; only the checksum of the complete file is recorded."""
    moved = r"truncated .* but moved to .* if it is truncated, run"
    with pytest.raises(DownloadError, match=moved):
        ask(said(body=whole[:100_000]), None)
    assert {path.name for path in tmp_path.iterdir()} == {"data.tar.refused"}
    with pytest.raises(DownloadError, match=r"given up .* length is unknown, .* truncated "):
        ask(said(body=whole[:100_000], length=""), None)
    assert not (tmp_path / SEEN).exists()
    cuts = iter([100_000, 150_000])
    assert ask(lambda _: said(body=whole[: next(cuts, None)], length=""), None) == whole
    kept = json.loads((tmp_path / SEEN).read_text())["data.tar"]["checksum"]
    assert kept == f"sha256:{hashlib.sha256(whole).hexdigest()}"


def test_an_existing_truncated_archive_is_not_trusted(ask, tmp_path):
    (tmp_path / "data.tar").write_bytes(DATA[:100_000])
    with pytest.raises(DownloadError, match=r"is there already, but truncated .* not changed"):
        ask(said(), None)
    assert not (tmp_path / SEEN).exists()
    assert (tmp_path / "data.tar").read_bytes() == DATA[:100_000]


def test_a_malformed_state_of_a_partial_file_is_ignored(ask, tmp_path):
    (tmp_path / "data.tar.part").write_bytes(DATA[:9])
    (tmp_path / "data.tar.part.json").write_text("[" * 100_000)
    assert ask(said()) == DATA


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "\0", '{"a": 5}', '{"a": {"checksum": 5}}'])
def test_a_malformed_list_of_checksums_is_named(ask, tmp_path, text):
    (tmp_path / SEEN).write_text(text)
    with pytest.raises(
        DownloadError, match=r"checksums\.json: not readable .* correct or remove it"
    ):
        ask(said(), None)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DownloadError, match=r"cannot be written .*another 'data_root'"):
        fetch(Wanted("http://127.0.0.1:1/a", tmp_path / "file/data.tar", SHA256), 1, 0.001)
