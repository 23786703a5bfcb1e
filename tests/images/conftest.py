from tests.datasets.conftest import edit, layout

__all__ = ["edit", "layout"]
