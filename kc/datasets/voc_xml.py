"""Reader of annotations in Pascal VOC's XML, which Stanford Dogs and ILSVRC DET use too."""

import xml.etree.ElementTree as ElementTree
from math import isfinite
from typing import NamedTuple

from kc.datasets.archive import Files
from kc.datasets.samples import Box
from kc.errors import ImageError


class Annotated(NamedTuple):
    """One object of an annotation."""

    name: str
    box: Box
    difficult: bool
    at: str
    """File and number of the object, for messages."""


def read_annotation(files: Files, name: str, first: int) -> list[Annotated]:
    """Read the objects of an annotation in VOC's XML, in their order.

    Parameters
    ----------
    first
        How the data set counts pixels: 1 means from 1, a box includes its last pixel (VOC);
        0 means from 0, a box excludes its last pixel.

    Raises
    ------
    ImageError
        The file is missing, is no XML, declares a document type (which could expand to any size),
        or an object has no name or no valid box.
    """
    if name not in files:
        raise ImageError(
            f"{files.where}: the annotation '{name}' is missing. "
            "Fix: download the annotations again, or remove the picture from the lists."
        )
    found = enumerate(_parsed(files, name).findall("object"), 1)
    return [_annotated(files, f"{name} object {count}", each, first) for count, each in found]


def _parsed(files: Files, name: str) -> ElementTree.Element:
    try:
        # decoded first, so that no other encoding can hide a document type
        text = files.read(name).decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ImageError(
                f"{files.where}: '{name}' declares a document type, which annotations do not "
                "need; refused. Fix: download the official archive."
            )
        return ElementTree.fromstring(text)  # noqa: S314, nothing is declared, so none expands
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ImageError(
            f"{files.where}: '{name}' is no XML in UTF-8 ({error}). Fix: download it again."
        ) from error


def _annotated(files: Files, at: str, element: ElementTree.Element, first: int) -> Annotated:
    name = (element.findtext("name") or "").strip()
    corners = [element.findtext(f"bndbox/{key}") or "" for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(corner) for corner in corners)
        proper = isfinite(left + top + right + bottom) and left < right + first
        proper = proper and top < bottom + first
    except ValueError:
        proper = False
    if not (name and proper):
        raise ImageError(
            f"{files.where}: {at}: expected a name and a bndbox with xmin < xmax and ymin < ymax "
            f"in px, got '{name}' and {corners}. Fix: correct it, or download the official archive."
        )
    box = Box(left - first, top - first, right, bottom)
    return Annotated(name, box, (element.findtext("difficult") or "").strip() == "1", at)
