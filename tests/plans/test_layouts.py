"""The table of layouts is correct, and each layout counts only its own code."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from kc import provenance
from kc.plans.layouts import LAYOUTS, code_of_dataset
from kc.settings.dataset import Dataset

OWN = {
    "cub": {"kc.datasets.cub", "kc.synthetic.birds", "kc.synthetic.species"},
    "dogs": {"kc.datasets.dogs", "kc.datasets.mat_child", "kc.synthetic.breeds"},
    "voc": {"kc.datasets.voc", "kc.synthetic.vehicles", "kc.synthetic.voc_masks"},
    "det": {"kc.datasets.det", "kc.synthetic.vehicles", "kc.synthetic.write_det"},
    "folder": {"kc.datasets.folder"},
}
"""Modules that only some layouts count."""


def counted(dataset: Dataset) -> set[str]:
    return set().union(*map(provenance._closure, code_of_dataset(dataset)))


def test_the_table_has_every_layout_of_the_settings() -> None:
    known = get_args(Dataset.model_fields["layout"].annotation)
    assert set(known) == {*LAYOUTS, "mixture"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_readers_and_writers_are_in_the_modules_of_the_table(layout: str) -> None:
    about = LAYOUTS[layout]
    assert callable(getattr(import_module(about.reader), f"read_{layout}"))
    if about.writer:
        assert callable(getattr(import_module(about.writer), f"write_{layout}"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_data_set_counts_its_own_code_only(layout: str) -> None:
    archive = Path("photographs")
    photographs = counted(Dataset(layout=layout, archive=archive))
    others = set().union(*(own for name, own in OWN.items() if name != layout))
    assert not any(module.startswith("kc.synthetic") for module in photographs)
    assert photographs & others == set()
    if LAYOUTS[layout].writer:
        drawn = counted(Dataset(layout=layout))
        assert OWN[layout] <= drawn
        assert photographs < drawn


def test_drawn_birds_and_dogs_count_neither_each_other_nor_scenes() -> None:
    birds, dogs = counted(Dataset(layout="cub")), counted(Dataset(layout="dogs"))
    assert birds & (OWN["dogs"] | OWN["voc"] | {"kc.synthetic.heads"}) == set()
    assert dogs & (OWN["cub"] | OWN["voc"] | {"kc.synthetic.bird_painting"}) == set()


def test_a_mixture_counts_no_reader_and_no_drawing() -> None:
    mixed = counted(Dataset(layout="mixture", parts=("birds", "dogs")))
    assert not mixed & {about.reader for about in LAYOUTS.values()}
    assert not any(module.startswith("kc.synthetic") for module in mixed)


def test_listing_the_code_loads_neither_torch_nor_zarr() -> None:
    code = "import sys, kc.plans.layouts; print({'torch', 'zarr', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
