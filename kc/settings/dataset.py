"""Data sets: layout on disk, where the archive comes from, what is drawn in its place."""

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, model_validator

from kc.files.checksum import PATTERN
from kc.settings.sections import Name, PathWithin, Section, Seed, Share, Side, Words

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Checksum = Annotated[str, Field(pattern=PATTERN)]
Synset = Annotated[str, Field(pattern="^n[0-9]{8}$")]
"""A noun of WordNet 3.0, as ImageNet numbers it."""


def _address(url: str) -> str:
    """Refuse what is no address of the web; the message shows none of it, it may hold a key."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port
        good = False
    if not good or len(url) > 2000 or re.search(r"[\s\\\x00-\x1f\x7f-\x9f]", url):
        raise ValueError(
            "expected an address http://host/path or https://host/path, without blanks. Fix: "
            "spell odd letters of a password as %XX, or keep it in ~/.netrc"
        )
    return url


def _below(url: str, file: str) -> str:
    """Name a file below an address, before its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{file}"))


class Generated(Section):
    """Drawn pictures, fine-grained by construction, written in the layout of the real archive."""

    classes: Annotated[int, Field(ge=2, le=200)] = 20
    images_per_class: Annotated[int, Field(ge=4, le=10_000)] = 60
    test_share: Share = Field(0.4, description="share of each class's images kept for testing")
    canvas: Annotated[int, Field(ge=32, le=1024)] = Field(
        96, description="side of a drawn picture, px"
    )
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="how much pose, light and background vary beside what makes a class"
    )
    seed: Seed = 0


class Dataset(Section):
    """One data set: a layout on disk, and where it comes from."""

    layout: Literal["cub", "dogs", "voc", "det", "folder", "mixture"] = Field(
        "cub",
        description="how the archive is laid out: CUB-200-2011, Stanford Dogs, Pascal VOC, "
        "ILSVRC DET, a folder per class, or a mixture of other data sets",
    )
    archive: PathWithin | None = Field(
        None,
        description="archive or extracted folder, relative to data_root; none: generated pictures",
    )
    url: Annotated[str, AfterValidator(_address)] | None = Field(
        None,
        description="where the archive is to be had; a password or token in it is shown nowhere",
    )
    files: dict[FileName, Checksum | None] = Field(
        {},
        description="archives in the folder 'archive', to be had below 'url': checksum by name; "
        "null: unknown, that of the file first seen is kept to",
    )
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="checksum of the archive; checked where it is given"
    )
    images: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="images the archive holds, for 'kc plan' before it is at hand"
    )
    generated: Generated = Generated()
    size: Side = Field(64, description="side of a stored picture, px")
    seed: Seed = Field(0, description="of the fixed random order of the rows, and of test_share")
    parts: tuple[Name, ...] = Field(
        (), description="layout mixture: the data sets mixed, in the order of their labels"
    )
    crop: Annotated[float, Field(ge=1, le=100)] = Field(
        1.0, description="what is kept of a picture: the object's box, widened by this factor"
    )
    box_foreground: bool = Field(
        False, description="an object without a mask has its box for foreground; wants crop above 1"
    )
    difficult: bool = Field(False, description="layout voc: keep the objects marked difficult")
    synsets: dict[Synset, Words] = Field(
        {}, description="layout det: WordNet synsets kept, each with a name; none: all"
    )
    test_share: Share = Field(
        0.4, description="layout folder without train/ and test/: share of each class tested on"
    )

    def downloads(self, path: Path) -> list[tuple[str, Path, str | None]]:
        """List what is to be had for an archive at ``path``: address, path, checksum if known."""
        if self.url is None:
            return []
        if not self.files:
            return [(self.url, path, self.md5 and f"md5:{self.md5}")]
        return [
            (_below(self.url, file), path / file, checksum) for file, checksum in self.files.items()
        ]

    @model_validator(mode="after")
    def _crops_have_boxes(self) -> "Dataset":
        if self.layout in ("folder", "mixture") and (self.crop > 1 or self.box_foreground):
            raise ValueError(
                f"crop and box_foreground are about boxes, which layout '{self.layout}' has none of"
            )
        if self.box_foreground and self.crop == 1:
            raise ValueError(
                "box_foreground needs a crop above 1: a crop to the box shows nothing beside it. "
                "Fix: crop: 1.2, as [C20] has for VOC, or 1.5, as for DET"
            )
        if self.synsets and self.layout != "det":
            raise ValueError(f"synsets are for layout 'det', not '{self.layout}'")
        return self

    @model_validator(mode="after")
    def _files_have_an_address(self) -> "Dataset":
        if self.files and (self.url is None or self.archive is None):
            raise ValueError(
                "files are fetched from below 'url' into the folder 'archive': set both"
            )
        return self

    @model_validator(mode="after")
    def _parts_are_for_mixtures(self) -> "Dataset":
        if self.layout != "mixture":
            if self.parts:
                raise ValueError(
                    f"parts {list(self.parts)} are for layout 'mixture', not '{self.layout}'"
                )
            if self.layout == "folder" and self.archive is None:
                raise ValueError(
                    "layout 'folder' needs an archive: pictures are drawn in the layouts cub, "
                    "dogs, voc and det only"
                )
            return self
        if len(self.parts) < 2 or len(set(self.parts)) < len(self.parts):
            raise ValueError(
                f"layout 'mixture' needs two or more different parts, got {list(self.parts)}"
            )
        if self.archive is not None:
            raise ValueError(
                f"layout 'mixture' has no archive of its own, got '{self.archive}'. "
                "Fix: name the data sets it mixes in 'parts'"
            )
        return self
