"""The command ``kc``."""

from kc.cli.main import app

__all__ = ["app"]
