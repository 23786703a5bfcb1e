"""Annotations in the XML of Pascal VOC, which Stanford Dogs and ILSVRC DET use too."""

from collections.abc import Sequence
from typing import NamedTuple

from kc.datasets.samples import Box


class AnnotatedObject(NamedTuple):
    """One ``object`` of an annotation."""

    name: str
    corners: Box
    """``xmin``, ``ymin``, ``xmax``, ``ymax`` as written, counted from 0 or 1 as in the data set."""
    truncated: bool = False
    difficult: bool = False


def annotation_xml(
    folder: str, filename: str, canvas: int, objects: Sequence[AnnotatedObject], segmented: bool
) -> list[str]:
    """List the lines of the annotation of one square picture, ``canvas`` px wide, indented by tabs.

    Nothing is escaped: names of drawn files contain only letters, digits, ``_``, ``-`` and ``.``.
    """
    return [
        "<annotation>",
        f"\t<folder>{folder}</folder>",
        f"\t<filename>{filename}</filename>",
        "\t<source>",
        "\t\t<database>drawn by kc</database>",
        "\t</source>",
        "\t<size>",
        f"\t\t<width>{canvas}</width>",
        f"\t\t<height>{canvas}</height>",
        "\t\t<depth>3</depth>",
        "\t</size>",
        f"\t<segmented>{int(segmented)}</segmented>",
        *(line for each in objects for line in _object_lines(each)),
        "</annotation>",
    ]


def _object_lines(each: AnnotatedObject) -> list[str]:
    keys = ("xmin", "ymin", "xmax", "ymax")
    corners = zip(keys, each.corners, strict=True)
    return [
        "\t<object>",
        f"\t\t<name>{each.name}</name>",
        "\t\t<pose>Unspecified</pose>",
        f"\t\t<truncated>{int(each.truncated)}</truncated>",
        f"\t\t<difficult>{int(each.difficult)}</difficult>",
        "\t\t<bndbox>",
        *(f"\t\t\t<{key}>{int(value)}</{key}>" for key, value in corners),
        "\t\t</bndbox>",
        "\t</object>",
    ]
