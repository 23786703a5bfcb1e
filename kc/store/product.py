"""A folder of small files made together (weights, history, card): whole under its key, or absent.

``card.json`` is what the workflow asks for; Snakemake removes it before a job runs again. So the
same content lies in ``result.json``, which the workflow does not know, and what was finished
before a kill is not made twice.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kc.errors import StoreError
from kc.store.files import file_digest, read_json, write_json_atomic

CARD = "card.json"


class Product:
    """One folder under one key.

    Parameters
    ----------
    folder
        Where it lies; nothing else may be kept there.
    key
        Hash of inputs, settings and code (:func:`kc.provenance.product_key`).
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def is_done(self) -> bool:
        """Whether it lies there whole, made under this key; gives the card back if it is gone."""
        result = self.folder / "result.json"
        try:
            card = read_json(result)
            whole = card["key"] == self.key and not damaged_files(self.folder, card)
        except (StoreError, KeyError, TypeError):
            return False
        if whole:
            write_json_atomic(self.folder / CARD, card)
        return whole

    def start(self) -> None:
        """Make the folder ready; what another key left is removed, what this one left is kept."""
        key_file = self.folder / "key.json"
        try:
            found = read_json(key_file).get("key")
        except (StoreError, AttributeError):
            found = None
        if found != self.key and self.folder.exists():
            shutil.rmtree(self.folder)
        for name in (CARD, "result.json"):
            (self.folder / name).unlink(missing_ok=True)
        write_json_atomic(key_file, {"key": self.key})

    def finish(self, card: Mapping[str, Any], files: Sequence[str]) -> None:
        """Write the card, last, with the digest of each file; ``digest`` is that of the first."""
        digests = {name: file_digest(self.folder / name) for name in files}
        whole = dict(card) | {"key": self.key, "digest": digests[files[0]], "files": digests}
        write_json_atomic(self.folder / "result.json", whole)
        write_json_atomic(self.folder / CARD, whole)


def damaged_files(folder: Path, card: Mapping[str, Any]) -> list[str]:
    """Name the files of a product that are missing or not those its card was written for."""
    return [
        name
        for name, digest in card["files"].items()
        if not (folder / name).is_file() or file_digest(folder / name) != digest
    ]
