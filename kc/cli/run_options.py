"""Find the options of Snakemake that make a table again with the settings it records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kc.errors import SettingsError
from kc.plans.commands import config_files, config_options, run_of
from kc.provenance import plain
from kc.settings.load import read_settings
from kc.settings.presets import settings_file


def run_options(origin: Mapping[str, Any], table: Path, base: Path) -> list[str | Path] | None:
    """Find the options that give the settings of a table: those of the last run, or a preset.

    Return None if neither gives these settings.
    """
    root = origin["settings"].get("data_root")
    over = {} if root is None else {"data_root": root}
    if (run := run_of(table)) is not None:
        default = Path(run.snakefile).parent / "config.yaml"
        if _gives(origin, [default, *map(Path, run.configfiles)], run.config):
            return run.options()
    for preset in [None, *sorted((base.parent / "workflow" / "presets").glob("*.yaml"))]:
        if _gives(origin, [settings_file(base), *([preset] if preset else [])], over):
            return [*config_files([preset] if preset else []), *config_options(over)]
    return None


def _gives(origin: Mapping[str, Any], files: Sequence[Path], over: Mapping[str, Any]) -> bool:
    """Return whether these files give the settings that a table records."""
    try:
        settings = read_settings(files, over)
    except SettingsError:
        return False
    return bool(plain(settings.of_study(origin["study"])) == origin["settings"])
