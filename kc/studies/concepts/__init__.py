"""Visual concepts in knowledge distillation: tables and figures of [C20]."""

from kc.studies.concepts.table import write

__all__ = ["write"]
