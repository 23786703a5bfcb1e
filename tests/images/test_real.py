import os
from pathlib import Path

import numpy as np
import pytest

from kc.datasets.archive import open_files
from kc.datasets.cub import read_cub
from kc.datasets.decode import decode
from kc.settings.dataset import Dataset

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def archive() -> Path:
    shared = os.environ.get("KC_SHARED")
    if not shared:
        pytest.skip("KC_SHARED is not set: it names the folder of the real pictures")
    path = Path(shared) / "data/cub/CUB_200_2011.tgz"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def test_the_real_cub_subset_is_read(archive: Path, tmp_path: Path) -> None:
    with open_files(archive, spool=tmp_path) as files:
        samples = read_cub(files, Dataset())
        assert len(samples) == 5902
        assert sum(sample.subset == "train" for sample in samples) == 2999
        assert {sample.label for sample in samples} == set(range(100))
        names = {sample.label: sample.class_name for sample in samples}
        assert (names[0], names[99]) == ("001.Black_footed_Albatross", "200.Common_Yellowthroat")
        numbers = [int(names[label].partition(".")[0]) for label in range(100)]
        assert numbers == sorted(numbers)
        assert numbers != list(range(1, 101))  # official numbers, with gaps
        images = np.stack([decode(sample, files, 32).image for sample in samples])
    assert images.shape == (5902, 3, 32, 32)
    grey = (images[:, 0] == images[:, 1]).all(axis=(1, 2)) & (images[:, 1] == images[:, 2]).all(
        axis=(1, 2)
    )
    assert 1 <= grey.sum() < 60
    assert images[grey].std() > 10
