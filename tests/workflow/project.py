"""Copy the files of this project that the workflow needs."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("kc", "workflow", "envs")
FILES = ("Snakefile", "config.yaml")


def copy_project(root: Path) -> Path:
    """Copy them into an existing folder, with the link to the profiles."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    (root / "profiles").symlink_to("workflow/profiles")
    return root
