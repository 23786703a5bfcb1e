"""Knowledge consistency: reconstruct one network's feature from another's with g [L20]."""

from kc.consistency.decompose import Decomposition
from kc.consistency.fit import fit
from kc.consistency.net import ConsistencyNet
from kc.consistency.result import FitResult

__all__ = ["ConsistencyNet", "Decomposition", "FitResult", "fit"]
