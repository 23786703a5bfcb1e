"""Fixtures: a file of tiny networks and a folder of tiny pictures."""

from pathlib import Path

import pytest

from tests.comparison.noise import write

NETS = """
import torch
import torch.nn.functional as F
from torch import nn


class Tiny(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        x = self.conv3(x)
        return self.head(F.relu(x).mean((2, 3)))


class Branching(Tiny):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


class Forgetful(Tiny):
    def forward(self, x):
        x = self.conv1(x)
        F.relu_(x)
        return self.head(x.mean((2, 3)))


class Overflowing(Tiny):
    def forward(self, x):
        return self.conv1(x) / 0


def tiny():
    return Tiny()


def wide():
    return Tiny(6)


def branching():
    return Branching()


def forgetful():
    return Forgetful()


def overflowing():
    return Overflowing()


def raising():
    raise ValueError("no luck")


def number():
    return 3


def needing(width):
    return Tiny(width)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """The file of the tiny networks."""
    file = tmp_path / "code" / "nets.py"
    file.parent.mkdir()
    file.write_text(NETS)
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Sixty noisy pictures in a folder, without classes."""
    return write(tmp_path / "photos", *(f"{k:02d}.png" for k in range(60)))


@pytest.fixture(autouse=True)
def _small_figures(request, monkeypatch):
    """Draw one map instead of twelve: figures take most of the time of a small comparison."""
    if request.node.get_closest_marker("full_figures") is None:
        monkeypatch.setattr("kc.comparison.write_pair.FILTERS", 1)
        monkeypatch.setattr("kc.comparison.write_pair.IMAGES", 1)
