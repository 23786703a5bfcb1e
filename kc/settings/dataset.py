"""Settings of data sets: layout on disk, origin of the archive, or pictures drawn instead."""

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
"""Number of a noun of WordNet 3.0, as in ImageNet."""


def _address(url: str) -> str:
    """Check a web address; the message does not show it, as it may hold a key."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port
        good = False
    if not good or len(url) > 2000 or re.search(r"[\s\\\x00-\x1f\x7f-\x9f]", url):
        raise ValueError(
            "expected an address http://host/path or https://host/path, without blanks. Fix: "
            "write special characters of a password as %XX, or store it in ~/.netrc"
        )
    return url


def _below(url: str, file: str) -> str:
    """Return the address of a file below another address, before its query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{file}"))


class Generated(Section):
    """Drawn pictures of similar classes, written in the layout of the real archive."""

    classes: Annotated[int, Field(ge=2, le=200)] = 20
    images_per_class: Annotated[int, Field(ge=4, le=10_000)] = 60
    test_share: Share = Field(0.4, description="share of each class's images kept for testing")
    canvas: Annotated[int, Field(ge=32, le=1024)] = Field(
        96, description="side of a drawn picture, px"
    )
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="how much pose, light and background vary besides the features of a class"
    )
    seed: Seed = 0


class Dataset(Section):
    """One data set: its layout on disk and its origin."""

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
        description="download address of the archive; a password or token in it is never shown",
    )
    files: dict[FileName, Checksum | None] = Field(
        {},
        description="archives in the folder 'archive', downloaded from below 'url': checksum by "
        "name; null: unknown, later files must equal the first one",
    )
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = Field(
        None, description="checksum of the archive; checked if it is given"
    )
    images: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = Field(
        None, description="number of images in the archive, for 'kc plan' before the download"
    )
    generated: Generated = Generated()
    size: Side = Field(64, description="side of a stored picture, px")
    seed: Seed = Field(0, description="of the random order of the rows, and of test_share")
    parts: tuple[Name, ...] = Field(
        (), description="layout mixture: the data sets to mix, in the order of their labels"
    )
    crop: Annotated[float, Field(ge=1, le=100)] = Field(
        1.0, description="pictures are cropped to the object's box, enlarged by this factor"
    )
    box_foreground: bool = Field(
        False,
        description="take the box as foreground of an object without a mask; needs crop above 1",
    )
    difficult: bool = Field(False, description="layout voc: keep the objects marked difficult")
    synsets: dict[Synset, Words] = Field(
        {}, description="layout det: WordNet synsets kept, each with a name; none: all"
    )
    test_share: Share = Field(
        0.4,
        description="layout folder without train/ and test/: share of each class used for testing",
    )

    def downloads(self, path: Path) -> list[tuple[str, Path, str | None]]:
        """List the downloads of an archive at ``path``: address, path, checksum if known."""
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
                f"crop and box_foreground need boxes, which layout '{self.layout}' does not have"
            )
        if self.box_foreground and self.crop == 1:
            raise ValueError(
                "box_foreground needs a crop above 1: a crop to the box shows no background. "
                "Fix: crop: 1.2, as in [C20] for VOC, or 1.5, as for DET"
            )
        if self.synsets and self.layout != "det":
            raise ValueError(f"synsets are for layout 'det', not '{self.layout}'")
        return self

    @model_validator(mode="after")
    def _files_have_an_address(self) -> "Dataset":
        if self.files and (self.url is None or self.archive is None):
            raise ValueError(
                "files are downloaded from below 'url' into the folder 'archive': set both"
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
                    "layout 'folder' needs an archive: only the layouts cub, dogs, voc and det can "
                    "be drawn"
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
