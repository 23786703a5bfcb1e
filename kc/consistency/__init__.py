"""Knowledge consistency: what of one network's feature another's gives through g [L20]."""

from kc.consistency.decompose import Decomposition
from kc.consistency.fit import fit
from kc.consistency.net import ConsistencyNet
from kc.consistency.result import FitResult

__all__ = ["ConsistencyNet", "Decomposition", "FitResult", "fit"]
