"""Settings of where activation and component stores are, and how long they are kept."""

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
        # the message shows no value: it may hold keys
        raise ValueError(
            "expected an absolute folder, or s3://bucket/prefix of ASCII letters, digits, '_', "
            "'-', '.' without keys, '@' or '?'. Fix: set keys by AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (kc docs stores)"
        )
    return root


class Storage(Section):
    """Storage of large products. No result depends on it."""

    root: (
        Annotated[
            str,
            AfterValidator(_root),
            WithJsonSchema({"type": "string", "pattern": f"^({BUCKET}|/.+)$"}),
        ]
        | None
    ) = Field(
        None,
        description="folder (absolute) or s3://bucket/prefix for activation and component stores, "
        "in a subfolder for each results folder (its name and 8 hex digits of its path's hash); "
        "none: the results folder. Manifests stay in the results folder",
    )
    drop: tuple[Literal["activations", "components"], ...] = Field(
        (), description="stores removed after the last job that reads them (target 'all')"
    )
    check_disk: bool = Field(True, description="do not start a run that will not fit on the disk")

    def announce(self) -> None:
        """Set where manifests of this process and its jobs may point (:mod:`kc.store.network`)."""
        os.environ[STORAGE_ROOT] = self.root or ""

    def of(self, stage: str, results: Path) -> str:
        """Return the place of a stage's stores; empty: next to their manifests.

        Each results folder has its own prefix: networks of several have the same names.
        """
        return f"{self.root.rstrip('/')}/{folder_id(results)}/{stage}" if self.root else ""
