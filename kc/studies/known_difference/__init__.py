"""Measures tried on differences that are known."""

from kc.studies.known_difference.table import write

__all__ = ["write"]
