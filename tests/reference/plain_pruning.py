"""Choose the weights of one layer to prune: one at a time, in float64."""

import math

import numpy as np


def removed(weight, multiple):
    values = [float(value) for value in weight.ravel()]
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    gone = [abs(value) < multiple * deviation for value in values]
    return np.array(gone).reshape(weight.shape)
