"""Instability of training: Tables 1 and 2 of [L20]."""

from kc.studies.stability.table import write

__all__ = ["write"]
