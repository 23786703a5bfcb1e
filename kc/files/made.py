"""The folder of notes of what was made in a results folder."""

from pathlib import Path

from kc.files.aside import writing

MADE = "kc-made"
"""Folder of the notes in a results folder (:mod:`kc.store.register`)."""
_BEFORE = frozenset({MADE, "logs", "sources"})
"""Folders that may exist before the first product."""


def begin_register(base: Path) -> None:
    """Start to keep notes in a results folder, unless it has products without notes.

    Raises
    ------
    StoreError
        The disk refuses it.
    """
    there = {path.name for path in base.iterdir() if path.is_dir()} if base.is_dir() else set()
    if there <= _BEFORE:
        with writing(base / MADE):
            (base / MADE).mkdir(parents=True, exist_ok=True)
