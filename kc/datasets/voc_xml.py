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
        How this data set numbers its pixels: 1, from 1 with a box's last pixel in it (VOC), or
        0, from 0 with its last pixel excluded.

    Raises
    ------
    ImageError
        The file is missing, is no XML, has a document type (which could unpack to any size), or
        an object has no name or no proper box.
    """
    if name not in files:
        raise ImageError(
            f"{files.where}: the annotation '{name}' is missing: its picture's objects are not "
            "known. Fix: fetch the annotations again, whole, or take the picture out of the lists."
        )
    found = enumerate(_parsed(files, name).findall("object"), 1)
    return [_annotated(files, f"{name} object {count}", each, first) for count, each in found]


def _parsed(files: Files, name: str) -> ElementTree.Element:
    try:
        # as text, so that no other encoding can hide a document type from the look below
        text = files.read(name).decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise ImageError(
                f"{files.where}: '{name}' declares a document type; refused, annotations have "
                "none. Fix: fetch the official archive."
            )
        return ElementTree.fromstring(text)  # noqa: S314, nothing is declared, so none expands
    except (ElementTree.ParseError, UnicodeDecodeError) as error:
        raise ImageError(
            f"{files.where}: '{name}' is no XML in UTF-8 ({error}). Fix: fetch the archive again."
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
            f"in px, got '{name}' and {corners}. Fix: mend it, or fetch the official archive."
        )
    box = Box(left - first, top - first, right, bottom)
    return Annotated(name, box, (element.findtext("difficult") or "").strip() == "1", at)
