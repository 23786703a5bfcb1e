"""Knowledge consistency between neural networks: which parts of their features they share.

The public names are imported on first use: ``import kc`` does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kc.comparison import (
        CompareSettings,
        Comparison,
        Matrix,
        compare,
        compare_layers,
        compare_models,
        layers_of,
        read_arrays,
        read_network,
    )
    from kc.consistency import ConsistencyNet, Decomposition, FitResult, fit
    from kc.store import open_store

__version__ = "0.1.0"

_FROM = {
    "kc.comparison": (
        *("CompareSettings", "Comparison", "Matrix", "compare", "compare_layers"),
        *("compare_models", "layers_of", "read_arrays", "read_network"),
    ),
    "kc.consistency": ("ConsistencyNet", "Decomposition", "FitResult", "fit"),
    "kc.store": ("open_store",),
}

__all__ = [
    "CompareSettings",
    "Comparison",
    "ConsistencyNet",
    "Decomposition",
    "FitResult",
    "Matrix",
    "compare",
    "compare_layers",
    "compare_models",
    "fit",
    "layers_of",
    "open_store",
    "read_arrays",
    "read_network",
]


def __getattr__(name: str) -> Any:
    """Import a public name (PEP 562).

    Raises
    ------
    AttributeError
        There is no such name.
    """
    for package, names in _FROM.items():
        if name in names:
            return getattr(import_module(package), name)
    raise AttributeError(f"module 'kc' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the public names and those already loaded."""
    return sorted({*globals(), *__all__})
