"""Checks that hold for the drawn pictures of every layout."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kc.settings.dataset import Generated
from kc.synthetic.generated import write_generated


def assert_the_seed_decides(
    layout: str, drawn: Generated, folder: Path, elsewhere: Path, count: int
) -> None:
    write_generated(layout, drawn, elsewhere / "again")
    write_generated(layout, drawn.model_copy(update={"seed": 2}), elsewhere / "other")
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert len(files) == count
    for name in files:
        assert (elsewhere / "again" / name).read_bytes() == (folder / name).read_bytes()
    others = {path.read_bytes() for path in (elsewhere / "other").rglob("*.jpg")}
    assert not others & {path.read_bytes() for path in folder.rglob("*.jpg")}


def assert_drawn_once(
    layout: str, drawn: Generated, folder: Path, refuse: Callable[[Callable[..., None]], None]
) -> None:
    """Check that nothing is drawn again; ``refuse`` replaces the drawing function by an error."""

    def raising(*_: object) -> None:
        raise AssertionError("drawn again")

    refuse(raising)
    write_generated(layout, drawn, folder)
    with pytest.raises(AssertionError, match="drawn again"):
        write_generated(layout, drawn.model_copy(update={"difficulty": 0.4}), folder)
