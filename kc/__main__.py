"""``python -m kc`` is the command ``kc``."""

from kc.cli import app

app(prog_name="kc")
