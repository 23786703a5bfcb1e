"""A prefix of an object store (S3 or compatible) as a place for stores.

Objects are written completely or not at all, so kc needs no temporary files there. The address of
the service and the credentials come from the usual variables (``AWS_ENDPOINT_URL``,
``AWS_ACCESS_KEY_ID`` ...).
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import obstore
import xxhash
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    SuffixByteRequest,
)
from zarr.storage import ObjectStore

from kc.errors import StoreError
from kc.files.aside import GUARDS, ask_guards
from kc.store.lock import LOST, PULSE, HeldError, me, parse_owner, refuse_living, seems_alive

HELD = 2
"""Objects kept in memory, so that a shard fetched for its check is not fetched again."""


class Bucket:
    """A prefix of a bucket."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with reaching(self.url):
            self.client = S3Store.from_url(self.url)
        self._held: OrderedDict[str, tuple[str, memoryview]] = OrderedDict()
        self._digests: dict[tuple[str, str], str] = {}
        self._guard = threading.Lock()

    def where(self, name: str) -> str:
        """Return a URL, for messages."""
        return f"{self.url}/{name}"

    def has(self, name: str) -> bool:
        """Return whether an object, or one below the name, exists."""
        return bool(self._tag(name)) or bool(self.names(name))

    def read(self, name: str) -> bytes:
        """Get an object."""
        with reaching(self.where(name)):
            return bytes(obstore.get(self.client, name).bytes())

    def write(self, name: str, content: bytes) -> None:
        """Put an object."""
        ask_guards()
        with reaching(self.where(name)):
            self.put(name, content, "overwrite")

    def put(self, name: str, content: bytes, mode: Any) -> str:
        """Put an object; return its ETag."""
        try:
            return str(obstore.put(self.client, name, content, mode=mode)["e_tag"])
        except FileNotFoundError:
            raise StoreError(f"{self.url}: there is no such bucket. Fix: create it.") from None

    def names(self, folder: str) -> list[str]:
        """List the next level below a prefix."""
        with reaching(self.where(folder)):
            found = obstore.list_with_delimiter(self.client, prefix=f"{folder}/")
        paths = [*found["common_prefixes"], *(each["path"] for each in found["objects"])]
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def files(self, folder: str) -> list[str]:
        """List all objects below a prefix."""
        with reaching(self.where(folder)):
            batches = list(obstore.list(self.client, prefix=f"{folder}/"))
        paths = [str(each["path"]) for batch in batches for each in batch]
        return sorted(path.removeprefix(f"{folder}/") for path in paths)

    def delete(self, name: str) -> None:
        """Remove an object and all below the name."""
        with reaching(self.where(name)):
            for batch in obstore.list(self.client, prefix=f"{name}/"):
                obstore.delete(self.client, [each["path"] for each in batch])
            with suppress(FileNotFoundError):
                obstore.delete(self.client, name)

    def digest(self, name: str) -> str:
        """Hash an object; fetch it only if it changed since this process put or fetched it."""
        tag = self._tag(name)
        if tag and (name, tag) not in self._digests:
            self._fetch(name)
            tag = self._held[name][0]
        return self._digests[name, tag] if tag else ""

    def size(self, name: str) -> int:
        """Return the size of an object in bytes."""
        with reaching(self.where(name)):
            return int(obstore.head(self.client, name)["size"])

    def zarr(self) -> "Objects":
        """Return zarr's object store, which remembers what was fetched or put."""
        return Objects(self)

    def lock(self, name: str) -> "BucketLock":
        """Create the lock object, which one process can hold; take over that of a dead owner."""
        with reaching(self.where(name)):
            return BucketLock(self, name)

    def held(self, name: str) -> memoryview | None:
        """Return an object's bytes if they are still in memory."""
        with self._guard:
            return self._held[name][1] if name in self._held else None

    def remember(self, name: str, tag: str, content: Buffer) -> None:
        """Keep the digest of an object that was put."""
        with self._guard:
            self._held.pop(name, None)
            self._digests[name, tag] = xxhash.xxh3_128_hexdigest(content.as_buffer_like())

    def _fetch(self, name: str) -> None:
        with reaching(self.where(name)):
            found = obstore.get(self.client, name)
            tag, content = str(found.meta["e_tag"]), memoryview(found.bytes())
        with self._guard:
            self._digests[name, tag] = xxhash.xxh3_128_hexdigest(content)
            self._held[name] = (tag, content)
            self._held.move_to_end(name)
            while len(self._held) > HELD:
                self._held.popitem(last=False)

    def _tag(self, name: str) -> str:
        """Return an object's ETag; empty if there is no such object."""
        try:
            with reaching(self.where(name)):
                return str(obstore.head(self.client, name)["e_tag"])
        except FileNotFoundError:
            return ""


class Objects(ObjectStore[S3Store]):
    """zarr's view of a bucket."""

    def __init__(self, bucket: Bucket, *, read_only: bool = False) -> None:
        super().__init__(bucket.client, read_only=read_only)
        self._bucket = bucket

    def with_read_only(self, read_only: bool = False) -> "Objects":
        """Return the same view, read-only or writable."""
        return Objects(self._bucket, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read an object, from memory if it was fetched for its check."""
        held = self._bucket.held(key)
        if held is None:
            return await super().get(key, prototype, byte_range)
        return prototype.buffer.from_bytes(held[_cut(byte_range, len(held))])

    async def set(self, key: str, value: Buffer) -> None:
        """Put an object, and keep its digest."""
        self._check_writable()
        ask_guards()
        put = await obstore.put_async(self.store, key, value.as_buffer_like())
        self._bucket.remember(key, str(put["e_tag"]), value)


class BucketLock:
    """A lock: an object that names its owner and is renewed until the lock is closed."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket, self._name, self._url = bucket, name, bucket.where(name)
        self._text = json.dumps(me()).encode()
        self._tag = self._take()
        self._ended = threading.Event()
        GUARDS.append(self.check)
        threading.Thread(target=self._beat, daemon=True, name="lock").start()

    def close(self) -> None:
        """Release the lock, unless another process took it over."""
        if not self._ended.is_set():
            self._ended.set()
            GUARDS.remove(self.check)
            with reaching(self._url):
                if not self._is_lost():
                    obstore.delete(self._bucket.client, self._name)

    def check(self) -> None:
        """Check that the lock was neither taken over nor removed.

        Raises
        ------
        HeldError
            It was: another process may write here now.
        """
        with reaching(self._url):
            lost = self._is_lost()
        if lost:
            raise HeldError(LOST.format(path=self._url))

    def _is_lost(self) -> bool:
        try:
            return bytes(obstore.get(self._bucket.client, self._name).bytes()) != self._text
        except FileNotFoundError:
            return True

    def _take(self) -> str:
        put = partial(self._bucket.put, self._name, self._text)
        with suppress(AlreadyExistsError):
            return put("create")
        try:
            found = obstore.get(self._bucket.client, self._name)
        except FileNotFoundError:  # released a moment ago
            return put("create")
        if bytes(text := found.bytes()) == self._text:  # put by an attempt whose answer was lost
            return str(found.meta["e_tag"])
        owner = parse_owner(bytes(text).decode())
        silent = (datetime.now(UTC) - found.meta["last_modified"]).total_seconds()
        refuse_living(self._url, owner, seems_alive(owner), silent)
        try:
            return put({"e_tag": str(found.meta["e_tag"])})
        except PreconditionError:
            raise HeldError(
                f"{self._url}: another process took the lock first. Fix: wait for it to end."
            ) from None

    def _beat(self) -> None:
        while not self._ended.wait(PULSE):
            with suppress(BaseError, OSError):
                self._bucket.put(self._name, self._text, {"e_tag": self._tag})


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn errors of the service into ``StoreError``; a missing object stays an OSError.

    Raises
    ------
    StoreError
        The service cannot be reached, or refuses.
    """
    try:
        yield
    except BaseError as error:
        reason = str(error).split("\n", 1)[0]
        if "404 Not Found" in reason:  # a missing object is another error
            raise StoreError(f"{url}: there is no such bucket. Fix: create it.") from None
        raise StoreError(
            f"{url}: {reason}. Fix: check AWS_ENDPOINT_URL (with http: AWS_ALLOW_HTTP=true), "
            "AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and run again; what was "
            "written is complete."
        ) from error


def _cut(request: ByteRequest | None, size: int) -> slice:
    match request:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, size)
        case SuffixByteRequest(suffix):
            return slice(max(0, size - suffix), size)
    return slice(0, size)
