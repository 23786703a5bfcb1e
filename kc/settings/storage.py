"""Where activation and component stores lie, and how long they are kept."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from kc.names import STORAGE_ROOT, folder_id
from kc.settings.sections import Section, named_folder, path_within, usable_path

BUCKET = "s3://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._=+-]*)*/?"


def _root(root: str) -> str:
    if root.startswith("/"):
        named_folder(path_within(usable_path(Path(root))))
    elif re.fullmatch(BUCKET, root) is None:
        # what was got may hold keys, spelled in whatever way
        raise ValueError(
            "expected an absolute folder, or s3://bucket/prefix of ASCII letters, digits, '_', "
            "'-', '.' without keys, '@' or '?'. Fix: keys are told by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (docs/stores.md)"
        )
    return root


class Storage(Section):
    """Storage of what takes room. No result depends on it."""

    root: (
        Annotated[
            str,
            AfterValidator(_root),
            WithJsonSchema({"type": "string", "pattern": f"^({BUCKET}|/.+)$"}),
        ]
        | None
    ) = Field(
        None,
        description="folder (absolute) or s3://bucket/prefix that holds activation and component "
        "stores, below a prefix of each results folder's own (its name and 8 hex digits of its "
        "path's hash); none: the results folder. Manifests stay in the results folder",
    )
    drop: tuple[Literal["activations", "components"], ...] = Field(
        (), description="stores removed when the last job that reads them is done (target 'all')"
    )
    check_disk: bool = Field(
        True, description="refuse to start a run that will not fit on the disk"
    )

    def announce(self) -> None:
        """Set where manifests may lead, for this process and its jobs (:mod:`kc.store.network`)."""
        os.environ[STORAGE_ROOT] = self.root or ""

    def of(self, stage: str, results: Path) -> str:
        """Return the place of a stage's stores; empty: beside their manifests.

        Those who share a root share no prefix of it: their networks have the same names.
        """
        return f"{self.root.rstrip('/')}/{folder_id(results)}/{stage}" if self.root else ""
