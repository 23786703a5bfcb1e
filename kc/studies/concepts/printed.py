"""Values printed in Tables 2 and 3 of [C20], for comparison with the measured ones.

Copied from the paper's text. There, the part of Table 3 on Pascal VOC is missing, and the second
data set's name follows from the order of the text; it is unconfirmed.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

Cell = tuple[str, str, str, str]
"""Data set, network, layer, role."""
OTHERWISE = "cub"
"""Data set whose values are shown for one without printed values."""
TABLE2_MEASURES = ("n_fg", "lambda_ratio")
TABLE3_MEASURES = ("n_fg", "n_bg", "lambda_ratio", "d_mean", "d_std", "rho")

_TABLE2 = """
cub vgg16 fc1 T 34.00 0.78
cub vgg16 fc1 S 29.57 0.75
cub vgg16 fc1 B 22.50 0.68
cub vgg16 fc2 T 34.62 0.80
cub vgg16 fc2 S 32.92 0.75
cub vgg16 fc2 B 23.31 0.67
cub vgg16 fc3 T 33.97 0.81
cub vgg16 fc3 S 29.78 0.63
cub vgg16 fc3 B 23.26 0.71
det vgg16 fc1 T 36.80 0.87
det vgg16 fc1 S 35.98 0.84
det vgg16 fc1 B 36.47 0.81
det vgg16 fc2 T 38.76 0.89
det vgg16 fc2 S 42.74 0.82
det vgg16 fc2 B 36.35 0.82
"""
_TABLE3 = """
cub alexnet fc1 S 36.60 4.00 0.90 8.35 25.09 0.57
det alexnet fc1 S 49.46 0.66 0.99 0.48 0.10 0.62
cub alexnet fc1 B 24.13 5.65 0.81 4.81 14.54 0.52
det alexnet fc1 B 41.00 0.92 0.98 1.32 0.31 0.61
cub alexnet fc2 S 38.13 3.50 0.92 3.77 3.97 0.49
det alexnet fc2 S 57.86 1.70 0.98 0.28 0.01 0.60
cub alexnet fc2 B 23.33 5.48 0.80 5.36 20.79 0.49
det alexnet fc2 B 42.24 0.96 0.98 1.15 0.15 0.60
cub alexnet fc3 S 33.20 4.31 0.89 8.13 39.79 0.51
cub alexnet fc3 B 22.73 4.94 0.83 13.57 137.74 0.42
cub vgg11 fc1 S 30.69 10.65 0.75 1.21 0.61 0.56
det vgg11 fc1 S 44.48 4.68 0.91 0.26 0.06 0.50
cub vgg11 fc1 B 24.26 10.77 0.70 2.01 3.18 0.55
det vgg11 fc1 B 28.27 7.80 0.80 0.93 0.08 0.53
cub vgg11 fc2 S 36.51 10.66 0.78 5.22 19.32 0.49
det vgg11 fc2 S 54.20 6.98 0.89 0.18 0.02 0.48
cub vgg11 fc2 B 26.86 10.71 0.72 6.62 16.21 0.54
det vgg11 fc2 B 29.68 8.64 0.79 1.19 0.52 0.47
cub vgg11 fc3 S 34.53 14.21 0.72 4.15 4.55 0.50
cub vgg11 fc3 B 24.53 10.95 0.69 20.66 95.29 0.49
cub vgg16 fc1 S 43.77 8.73 0.84 0.64 0.06 0.66
det vgg16 fc1 S 56.29 3.13 0.95 0.02 0.0001 0.47
cub vgg16 fc1 B 22.50 11.27 0.68 2.38 4.98 0.50
det vgg16 fc1 B 36.06 7.71 0.83 0.40 0.13 0.44
cub vgg16 fc2 S 36.83 11.03 0.77 0.80 0.37 0.54
det vgg16 fc2 S 37.79 4.31 0.90 0.17 0.02 0.32
cub vgg16 fc2 B 23.31 11.56 0.67 5.43 22.96 0.50
det vgg16 fc2 B 38.41 9.66 0.80 0.79 0.52 0.43
cub vgg16 fc3 S 32.32 10.21 0.77 6.17 32.63 0.47
cub vgg16 fc3 B 23.26 9.97 0.71 17.53 216.05 0.46
cub vgg19 fc1 S 40.74 10.42 0.80 0.66 0.15 0.60
det vgg19 fc1 S 46.50 2.52 0.95 0.16 0.0002 0.39
cub vgg19 fc1 B 22.42 11.19 0.67 2.33 3.67 0.47
det vgg19 fc1 B 29.71 5.83 0.84 0.33 0.12 0.39
cub vgg19 fc2 S 40.20 9.03 0.82 1.16 0.63 0.56
det vgg19 fc2 S 50.90 5.96 0.91 0.06 0.0006 0.37
cub vgg19 fc2 B 24.00 10.40 0.70 4.64 19.07 0.47
det vgg19 fc2 B 30.31 6.15 0.84 0.45 0.18 0.37
cub vgg19 fc3 S 28.60 6.37 0.82 4.89 11.57 0.48
cub vgg19 fc3 B 21.29 7.77 0.74 20.61 143.61 0.46
cub resnet50 fc1 S 43.02 10.15 0.81 24.43 166.76 0.48
det resnet50 fc1 S 56.00 6.50 0.90 3.45 4.74 0.45
cub resnet50 fc1 B 24.15 11.83 0.79 20.78 122.79 0.53
det resnet50 fc1 B 43.80 5.75 0.89 2.73 6.82 0.36
cub resnet50 fc2 S 48.58 9.75 0.83 37.62 206.22 0.55
det resnet50 fc2 S 52.57 6.54 0.90 0.25 1.45 0.40
cub resnet50 fc2 B 42.06 11.88 0.79 29.28 248.03 0.52
det resnet50 fc2 B 43.63 6.93 0.87 0.02 0.02 0.35
cub resnet50 fc3 S 41.38 11.73 0.77 926.61 142807.00 0.43
cub resnet50 fc3 B 42.03 11.48 0.79 111.18 3299.20 0.53
cub resnet101 fc1 S 45.93 11.14 0.81 23.32 236.76 0.51
det resnet101 fc1 S 48.59 5.06 0.91 1.99 2.20 0.39
cub resnet101 fc1 B 44.18 12.55 0.78 40.41 828.72 0.52
det resnet101 fc1 B 42.94 8.16 0.84 5.41 10.39 0.35
cub resnet101 fc2 S 51.59 9.02 0.85 67.60 947.85 0.54
det resnet101 fc2 S 49.27 6.39 0.89 0.98 0.65 0.37
cub resnet101 fc2 B 43.22 12.32 0.78 43.40 1155.22 0.50
det resnet101 fc2 B 41.79 7.30 0.85 6.58 17.16 0.34
cub resnet101 fc3 S 47.71 10.24 0.82 73.33 2797.15 0.53
cub resnet101 fc3 B 42.40 10.53 0.80 162.68 16481.93 0.49
cub resnet152 fc1 S 44.81 12.09 0.79 26.35 289.59 0.48
det resnet152 fc1 S 44.90 5.63 0.89 6.25 5.86 0.36
cub resnet152 fc1 B 45.62 10.68 0.81 36.92 767.58 0.54
det resnet152 fc1 B 39.93 5.40 0.89 6.08 6.74 0.33
cub resnet152 fc2 S 43.79 10.04 0.81 7.13 42.77 0.52
det resnet152 fc2 S 40.98 6.90 0.86 4.64 5.71 0.32
cub resnet152 fc2 B 45.08 10.85 0.81 44.59 1200.97 0.52
det resnet152 fc2 B 40.29 5.56 0.89 7.86 12.24 0.33
cub resnet152 fc3 S 44.21 11.89 0.79 47.28 1463.55 0.50
cub resnet152 fc3 B 44.89 10.77 0.81 167.41 16331.28 0.52
"""


def _read(text: str, measures: tuple[str, ...]) -> Mapping[Cell, Mapping[str, float]]:
    found: dict[Cell, Mapping[str, float]] = {}
    for line in text.split("\n"):
        if line:
            dataset, network, layer, role, *numbers = line.split()
            values = dict(zip(measures, map(float, numbers), strict=True))
            found[dataset, network, layer, role] = MappingProxyType(values)
    return MappingProxyType(found)


TABLE2 = _read(_TABLE2, TABLE2_MEASURES)
"""Concepts of teacher, student and baseline; teachers from scratch [C20, Table 2]."""
TABLE3 = _read(_TABLE3, TABLE3_MEASURES)
"""Concepts, speed and detours of student and baseline; ImageNet teachers [C20, Table 3]."""


def printed_dataset(dataset: str) -> str:
    """Return the data set whose printed values are shown: the same if it has any."""
    return dataset if any(cell[0] == dataset for cell in TABLE3) else OTHERWISE


def printed(
    table: Mapping[Cell, Mapping[str, float]], cell: tuple[str, str, str, str], measure: str
) -> float:
    """Return a printed number, or NaN."""
    return table.get((printed_dataset(cell[0]), *cell[1:]), {}).get(measure, math.nan)
