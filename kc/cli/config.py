"""``kc config``: print the schema of the settings, and check files of settings."""

from pathlib import Path
from typing import Annotated

import typer

from kc.cli.terminal import echo
from kc.settings.load import read_settings
from kc.settings.presets import settings_file
from kc.settings.whole import json_schema


def config_schema() -> None:
    """Print the JSON schema of the settings."""
    echo(json_schema(), nl=False)


def config_check(
    files: Annotated[list[Path], typer.Argument(help="config.yaml, presets: files or names")],
) -> None:
    """Check settings; each file is merged over those before it."""
    read_settings([settings_file(file) for file in files])
    echo("the settings are valid")
