"""Format the commands that error messages name as a fix, ready to paste into a shell.

A message ends with its command, so that nothing after it is copied along. Products of the workflow
are made again by Snakemake, with the options of its last run, which the workflow notes in
``RESULTS/logs/run.json``; those of ``kc compare`` or a script by the same command again. Users need
not remove anything: a job finds damaged files by their digest and makes them again.
"""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from kc.errors import StoreError, printable
from kc.files.aside import write_whole
from kc.files.checksum import content_digest
from kc.names import BESIDE
from kc.provenance import plain

AGAIN = "run the command that made it again; it keeps what is complete and makes the rest"
"""The fix if no other command is needed."""
NOTE = Path("logs", "run.json")
"""Note, in the results folder, of how the workflow was last called."""
UNKNOWN = "  # with the --configfile and --config of that run"
"""Shell comment after a command whose run left no note."""
DRAWN = "-source"
"""Suffix of a data set's name: the folder of its drawn pictures."""
PAGE_FILES = "index_files"
"""Folder of a page's files, next to its ``index.html``."""
SNAKEFILES = ("Snakefile", "workflow/Snakefile")
"""Files that Snakemake finds without an option."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\udc80-\udcff]")
"""Line ends, control and direction characters, and bytes that are not text."""
_FORCE = ("snakemake", "--cores", "1", "--force")
_COMPARED = (
    *("tables/compare.json", "tables/matrix.json", "activations/a.zarr"),
    *("pictures.zarr", "pictures-a.zarr"),
)
_FOLDERS = ("networks", "fits", *BESIDE, "titrations")
_CARDS = ("card.json", "result.json", "key.json")


class Run(NamedTuple):
    """How the workflow was called for a results folder."""

    results: str
    """The results folder as in the settings."""
    directory: str
    """Snakemake's working directory."""
    snakefile: str
    elsewhere: bool
    """Whether it was started from another folder (``--directory``)."""
    configfiles: Sequence[str] = ()
    config: Mapping[str, Any] = {}
    conda: bool = False

    def options(self) -> list[str | Path]:
        """Return the options of the run for Snakemake, from this working directory."""
        found: list[str | Path] = []
        here, there = Path.cwd(), Path(self.directory)
        away = self.elsewhere or here != there
        if away or self.snakefile not in [str(there / name) for name in SNAKEFILES]:
            found += ["--snakefile", Path(self.snakefile)]
        if away:
            found += ["--directory", there]
        if self.conda:
            found.append("--use-conda")
        files = map(Path, self.configfiles)
        near = [f if away or not f.is_relative_to(here) else f.relative_to(here) for f in files]
        return found + config_files(near) + config_options(self.config)


def command(*words: str | PurePath) -> str:
    """Format a command for a shell; a path that begins with ``-`` is not taken as an option."""
    return " ".join(map(quoted, words))


def quoted(word: str | PurePath) -> str:
    """Quote one word for bash and zsh, always on one line."""
    text = str(word)
    if isinstance(word, PurePath) and text.startswith("-"):
        text = f"./{text}"
    if not _CONTROL.search(text):
        return shlex.quote(text)
    return f"$'{''.join(map(_escaped, text))}'"


def config_files(files: Sequence[Path]) -> list[str | Path]:
    """Return the option with the presets of a run."""
    return ["--configfile", *files] if files else []


def config_options(config: Mapping[str, Any]) -> list[str | Path]:
    """Return the option ``--config`` with values that Snakemake reads back unchanged."""
    pairs = [f"{name}={_spelled(value)}" for name, value in config.items()]
    return ["--config", *pairs] if pairs else []


def remake(target: Path | str, options: Sequence[str | Path] = ()) -> str:
    """Format the command by which the workflow makes a file again, even if it exists."""
    return command(*_FORCE, Path(target), *options)


def note_run(workflow: Any, results: str) -> None:
    """Note how Snakemake's ``workflow`` was called for these results, for the fixes in errors.

    Call it in the working directory of the run.
    """
    about, deployed = workflow.config_settings, workflow.deployment_settings.deployment_method
    write_run(
        Run(
            results,
            str(Path.cwd()),
            workflow.main_snakefile,
            elsewhere=workflow.overwrite_workdir is not None,
            configfiles=[str(path) for path in about.configfiles],
            config=plain(about.config),
            conda=any(method.name == "CONDA" for method in deployed),
        )
    )


def write_run(run: Run) -> None:
    """Write the note of a run into its results folder."""
    file, content = Path(run.directory, run.results) / NOTE, run._asdict()
    text = json.dumps({"run": content, "checksum": content_digest(content)}, indent=2) + "\n"
    # a run must not fail here: without the note a fix says which options are unknown
    with suppress(OSError, StoreError):
        write_whole(file, text.encode())


def fix_at(path: Path | str, given: str = "") -> str:
    """Format the command that makes a product again, or the product of a file.

    Parameters
    ----------
    path
        A store, a product's folder, a table, or any file in one.
    given
        The fix that the product names, used if no run of the workflow is known. It is not trusted:
        a command of kc is formatted again, any other text is escaped.
    """
    found = _found(path)
    if found is not None:
        root, run = found
        inner = _target(Path(path).absolute()).relative_to(root)
        if inner.parts[0] == "custom":
            inner = Path(*inner.parts[:2], "index.html")
        return remake(Path(run.results) / inner, run.options())
    words: list[str] = []
    with suppress(ValueError):
        words = shlex.split(given)
    if words[:-1] == list(_FORCE):
        known = run_of(words[-1])
        return remake(words[-1], known.options()) if known else remake(words[-1]) + UNKNOWN
    if given:
        return printable(given.strip())
    target = _target(Path(path))
    of_workflow = target.name == _CARDS[0] and target.parent.parent.name in _FOLDERS
    compared = any((target.parent.parent.parent / name).exists() for name in _COMPARED)
    return remake(target) + UNKNOWN if of_workflow and not compared else AGAIN


def run_of(path: Path | str) -> Run | None:
    """Find how the workflow was last called for the results of a path; None if unknown."""
    found = _found(path)
    return None if found is None else found[1]


def _found(path: Path | str) -> tuple[Path, Run] | None:
    """Find the results folder of a path, and the run that made it."""
    if str(path).startswith("s3:/"):
        return None
    for folder in Path(path).absolute().parents:
        run = read_run(folder / NOTE)
        if run is None:
            continue
        # the workflow would not make files in a copy of its results folder
        there = Path(run.directory)
        if there.is_absolute() and (there / run.results).resolve() == folder.resolve():
            return folder, run
    return None


def read_run(note: Path) -> Run | None:
    """Read the note of a run; None if it is missing or damaged."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        run = Run(**content["run"])
        return run if content["checksum"] == content_digest(content["run"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _target(path: Path) -> Path:
    """Return the target of the workflow that makes a file."""
    for part in (path, *path.parents):
        if part.suffix in (".zarr", ".state"):
            return part.with_suffix(".json")
        if part.name == PAGE_FILES:
            return part.with_name("index.html")
        if part.name.endswith(DRAWN) and part.parent.name == "images":
            return part.with_name(f"{part.name.removesuffix(DRAWN)}.json")
    if path.parent.name == "figures" and path.suffix not in (".png", ".svg"):
        return path.with_name(f"{path.name}.png")  # a note names a figure without its suffix
    for part in (path, path.parent):
        is_product = not part.exists() or any((part / name).exists() for name in _CARDS)
        if part.parent.name in _FOLDERS and is_product:
            return part / _CARDS[0]
    return path


def _escaped(letter: str) -> str:
    if letter in "'\\":
        return f"\\{letter}"
    if not _CONTROL.match(letter):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(letter))


def _spelled(value: Any) -> str:
    if isinstance(value, (str, bool)):
        return str(value)
    return "" if value is None else json.dumps(value, ensure_ascii=False)
