"""A file written whole or not at all: aside first, then under its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def put_in_place(aside: Path, path: Path) -> Iterator[BinaryIO]:
    """Give a file to write aside; rename it if that goes well, else leave nothing.

    A link under either name is replaced; what it leads to is not touched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.unlink(missing_ok=True)
        with aside.open("xb") as file:
            yield file
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, for what need not survive a power loss."""
    with put_in_place(path.with_name(f".{path.name}.aside"), path) as file:
        file.write(content)
