"""The layouts of data sets: the module that reads each, and the one that draws pictures in it.

Readers and drawing code are imported by these names, so that a data set's key counts the ones it
is made with (:func:`code_of_dataset`) and no others: editing drawn cars does not remake birds.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from kc.settings.dataset import Dataset

GENERATED = "kc.synthetic.generated"
"""Module with ``write_generated``, which keeps the folders of drawn pictures."""
MIXTURE = "kc.images.mixture"
STORE = "kc.images.build"


class Layout(NamedTuple):
    """The modules of a layout."""

    reader: str
    """Module with ``read_LAYOUT``; if it has ``ARCHIVES``, the layout needs several files."""
    writer: str = ""
    """Module with ``write_LAYOUT``; empty if pictures are not drawn in this layout."""


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "cub": Layout("kc.datasets.cub", "kc.synthetic.write_cub"),
        "dogs": Layout("kc.datasets.dogs", "kc.synthetic.write_dogs"),
        "voc": Layout("kc.datasets.voc", "kc.synthetic.write_voc"),
        "det": Layout("kc.datasets.det", "kc.synthetic.write_det"),
        "folder": Layout("kc.datasets.folder"),
    }
)


def code_of_dataset(dataset: Dataset) -> tuple[str, ...]:
    """List the modules that, with all they import, make a data set's image store."""
    if dataset.layout == "mixture":
        return (MIXTURE,)
    layout = LAYOUTS[dataset.layout]
    drawn = () if dataset.archive else (GENERATED, layout.writer)
    return (STORE, layout.reader, *drawn)
