"""The default settings and the presets that come with kc, also outside a checkout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kc.settings.file import read_mapping
from kc.settings.load import overlaid

SHIPPED = Path(__file__).parent / "shipped"
"""``config.yaml`` and ``presets``: links in a checkout, files in an installed package."""
DEFAULT_FILE = Path("config.yaml")


def preset_names() -> list[str]:
    """List the presets that come with kc."""
    return sorted(path.stem for path in (SHIPPED / "presets").glob("*.yaml"))


def settings_file(path: Path) -> Path:
    """Find a file of settings: the one at ``path``, or one of this name that comes with kc.

    >>> settings_file(Path("smoke")).name
    'smoke.yaml'
    """
    if path.exists():
        return path
    if path == DEFAULT_FILE:
        return SHIPPED / DEFAULT_FILE
    is_preset = path.parent in (Path(), Path("workflow/presets")) and path.stem in preset_names()
    return SHIPPED / "presets" / f"{path.stem}.yaml" if is_preset else path


def over_default(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over the default ones.

    A workflow that is used as a module gets only what the user's workflow gives it: Snakemake does
    not read its ``config.yaml`` then.
    """
    found: dict[str, Any] = overlaid(read_mapping(SHIPPED / DEFAULT_FILE), dict(config))
    return found
