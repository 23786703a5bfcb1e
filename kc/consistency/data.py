"""Feed pairs of features of the same images, from memory or block by block from disk.

Both ways use the same order (``kc.consistency.order``), so they give the same batches and the
same weights, bit for bit.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from kc.consistency.net import check_shapes
from kc.consistency.order import Order, Rows, in_sequence
from kc.errors import FeatureError
from kc.store import StoredArray, check_same_images


@runtime_checkable
class FeatureArray(Protocol):
    """What a feature must have: a shape and slices of the image axis."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images first, then the shape of one image's feature."""

    def __getitem__(self, index: Any, /) -> Any:
        """Read images."""


@dataclass(frozen=True)
class FeaturePair:
    """Source and target features of the same images, and how they are read."""

    source: FeatureArray
    target: FeatureArray
    device: torch.device
    block_rows: int
    in_memory: bool
    finite: bool = False
    """Whether all values are known to be finite: stores refuse NaN and infinity."""

    def __len__(self) -> int:
        return int(self.target.shape[0])

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of one image's source feature."""
        return tuple(self.source.shape[1:])

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one image's target feature."""
        return tuple(self.target.shape[1:])

    def batches(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Return source and target of each batch, float32 on the device.

        Raises
        ------
        FeatureError
            A value is not finite; the error names the row.
        """
        feed = self._gathered(order) if self.in_memory else self._streamed(order)
        for (start, stop), (x, y) in zip(pairwise(order.edges), feed, strict=True):
            rows = order.rows[start:stop]
            yield self._finish(x, rows, "source"), self._finish(y, rows, "target")

    def in_order(self, rows: Rows, batch: int = 128) -> Iterator[tuple[Tensor, Tensor]]:
        """Return batches of the rows from first to last."""
        return self.batches(in_sequence(rows, batch, self.block_rows))

    def _finish(self, values: Tensor, rows: Rows, side: str) -> Tensor:
        found = values.to(self.device, torch.float32)
        if not self.finite and not bool(torch.isfinite(found.sum())):
            _refuse_not_finite(found, rows, side)
        return found

    def _gathered(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        rows = torch.from_numpy(order.rows)
        for start, stop in pairwise(order.edges):
            taken = rows[start:stop]
            yield _take(self.source, taken), _take(self.target, taken)

    def _streamed(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Cut batches out of buffers; a batch may begin in one and end in the next."""
        edges = iter(order.edges[1:].tolist())
        stop, begun = next(edges), 0
        parts: list[tuple[Tensor, Tensor]] = []
        for where, x, y in self._buffers(order):
            taken, end = 0, begun + len(where)
            while stop is not None and stop <= end:
                index = where[taken : stop - begun]
                yield _join([*parts, (_take(x, index), _take(y, index))])
                parts, taken, stop = [], stop - begun, next(edges, None)
            if begun + taken < end:
                index = where[taken:]
                parts.append((_take(x, index), _take(y, index)))
            begun = end

    def _buffers(self, order: Order) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Return each buffer's features and the places of its rows, in the order of use.

        Blocks are kept complete: unwanted rows take fewer bytes than a copy of the wanted ones.
        """
        size = order.block_rows
        wanted = np.bincount(order.rows // size)
        offsets = np.zeros(len(wanted), np.int64)
        begun = 0
        for buffer, (x, y) in zip(order.buffers, self._read_ahead(order), strict=True):
            held = 0
            for block in buffer:
                offsets[block] = held - block * size
                held += len(self._rows_of(block, size))
            rows = order.rows[begun : begun + wanted[list(buffer)].sum()]
            begun += len(rows)
            yield torch.from_numpy(rows + offsets[rows // size]), x, y

    def _read_ahead(self, order: Order) -> Iterator[tuple[Tensor, Tensor]]:
        """Read one buffer after the other, the next while one is in use; there are two."""
        size = order.block_rows
        most = min(len(self), max(len(buffer) for buffer in order.buffers) * size)
        rooms = [(_room(self.source, most), _room(self.target, most)) for _ in order.buffers[:2]]
        with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
            ahead = reader.submit(self._fill, rooms[0], order.buffers[0], size)
            for number, following in enumerate(order.buffers[1:], start=1):
                read = ahead.result()
                ahead = reader.submit(self._fill, rooms[number % 2], following, size)
                yield read
            yield ahead.result()

    def _fill(
        self, room: tuple[Tensor, Tensor], buffer: Sequence[int], size: int
    ) -> tuple[Tensor, Tensor]:
        held = 0
        for block in buffer:
            rows = self._rows_of(block, size)
            for values, into in zip((self.source, self.target), room, strict=True):
                _read_into(into[held : held + len(rows)], values, rows)
            held += len(rows)
        return room[0][:held], room[1][:held]

    def _rows_of(self, block: int, size: int) -> range:
        return range(block * size, min(len(self), (block + 1) * size))


def pair_up(
    source: Any,
    target: Any,
    device: torch.device,
    block_rows: int = 256,
    memory_gb: float = 4.0,
) -> FeaturePair:
    """Check that two features belong together and choose how they are read.

    Features in memory, and stored ones below ``memory_gb``, are loaded once (on the device);
    larger ones are streamed.

    Raises
    ------
    FeatureError
        Numbers of images differ, or g is not defined for the shapes.
    StoreError
        The stored layers list different images.
    """
    if isinstance(source, StoredArray) and isinstance(target, StoredArray):
        check_same_images(source, target)
    _check_counts(source, target)
    check_shapes(tuple(source.shape[1:]), tuple(target.shape[1:]))
    stored = [side for side in (source, target) if isinstance(side, StoredArray)]
    size = sum(_bytes(side) for side in stored)
    in_memory = not stored or size <= memory_gb * 1e9
    if in_memory:
        fits = device.type == "cpu" or _fits(device, _bytes(source) + _bytes(target))
        place = device if fits else torch.device("cpu")
        source, target = (_tensor(side[:]).to(place) for side in (source, target))
    # float64 may become infinite as float32
    finite = len(stored) == 2 and all(side.dtype.itemsize <= 4 for side in stored)
    return FeaturePair(source, target, device, block_rows, in_memory, finite)


def _check_counts(source: FeatureArray, target: FeatureArray) -> None:
    for side, values in (("source", source), ("target", target)):
        if len(values.shape) not in (2, 3, 4):
            raise FeatureError(
                f"{side}: shape {tuple(values.shape)}; expected vectors (n, d), tokens (n, t, d) "
                "or maps (n, c, h, w)."
            )
    if source.shape[0] != target.shape[0]:
        raise FeatureError(
            f"source has {source.shape[0]} images, target {target.shape[0]}: row i of both must "
            "be the same image. Fix: record both layers from the same image store."
        )


def _refuse_not_finite(values: Tensor, rows: Rows, side: str) -> None:
    good = torch.isfinite(values.flatten(1)).all(1).cpu().numpy()
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise FeatureError(
            f"{side}: image in row {int(rows[first])} holds NaN or infinity. Fix: check the "
            "network that made it (float16 overflows at 65504: record with dtype float32)."
        )


def _bytes(values: Any) -> int:
    return int(np.prod(values.shape)) * int(values.dtype.itemsize)


def _fits(device: torch.device, size: int) -> bool:
    free, _ = torch.cuda.mem_get_info(device)
    return size < 0.5 * free


def _tensor(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    return torch.from_numpy(np.require(values, requirements="W"))


def _room(values: Any, rows: int) -> Tensor:
    """Return an empty tensor for some rows of a feature."""
    like = values if isinstance(values, Tensor) else torch.from_numpy(np.empty(0, values.dtype))
    return like.new_empty((rows, *values.shape[1:]))


def _read_into(room: Tensor, values: Any, rows: range) -> None:
    where = slice(rows.start, rows.stop)
    if isinstance(values, StoredArray):
        values.read(where, room.numpy())
    else:
        room.copy_(_tensor(values[where]))


def _take(values: Any, rows: Tensor) -> Tensor:
    # values[rows] copies element by element, which takes three times as long
    return values.index_select(0, rows.to(values.device))  # type: ignore[no-any-return]


def _join(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return _cat([x for x, _ in parts]), _cat([y for _, y in parts])


def _cat(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
