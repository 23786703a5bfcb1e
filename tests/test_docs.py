"""The examples of the documentation run, and its commands and links exist."""

import ast
import io
import re
import shlex
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from snakemake.cli import get_argument_parser
from typer.testing import CliRunner

from kc.cli.main import app
from kc.networks import build
from kc.plans.registry import STUDIES
from kc.settings.recipes import Network
from tests.comparison.noise import write

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TARGETS = {*STUDIES, "custom", "download", "report"}


class Block(NamedTuple):
    """A block of code: its language, its text and its first line."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks, and the indented ones (kind ``sh``), in order."""
    found, lines = [], page.read_text().splitlines()
    fenced: Block | None = None
    for number, line in enumerate(lines, start=1):
        if line.startswith("```"):
            if fenced is None:
                fenced = Block(line[3:].strip(), "", number)
            else:
                found.append(fenced)
                fenced = None
        elif fenced is not None:
            fenced = fenced._replace(text=fenced.text + line + "\n")
        elif line.startswith("    ") and not re.match(r"\s+(- |\d)", line):
            found.append(Block("sh", line.strip() + "\n", number))
    assert fenced is None, f"{page}: the block of line {fenced.line} does not end"
    return found


def commands(page: Path) -> list[list[str]]:
    """Return the command lines of the shell blocks, split into words, without comments."""
    text = "".join(block.text for block in blocks(page) if block.kind.startswith("sh"))
    joined = text.replace("\\\n", " ").splitlines()
    return [words for line in joined if (words := shlex.split(line, comments=True))]


def known(words: list[str]) -> bool:
    """Return whether ``kc`` has this command with these options (``--help`` runs nothing)."""
    return CliRunner().invoke(app, [*words[1:], "--help"]).exit_code == 0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with some pictures."""
    write(tmp_path / "photos", *(f"{k:02d}.png" for k in range(60)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


LONG = {"docs/own-networks.md", "docs/reading-the-numbers.md"}
"""Pages whose examples take ten seconds or more; the README has commands of the same sort."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name in LONG else []) for name in NAMES],
)
def test_examples_run_in_order(name: str, folder: Path):
    source = np.random.default_rng(0).standard_normal((64, 4)).astype(np.float32)
    narrow = Network(width=0.0625, head_units=8)
    names: dict = {
        "source": source,
        "target": source[:, ::-1] + 0.1,
        "model_a": build("resnet18", 4, narrow, 0),
        "model_b": build("resnet18", 4, narrow, 1),
    }
    printed = io.StringIO()
    for block in blocks(ROOT / name):
        if block.kind == "text":
            assert block.text.strip() == printed.getvalue().strip()
        elif block.kind == "python":
            file = re.match(r"# (\w+\.py)\n", block.text)
            if file:
                (folder / file[1]).write_text(block.text)
            else:
                code = compile("\n" * block.line + block.text, ROOT / name, "exec")
                printed = io.StringIO()
                with redirect_stdout(printed):
                    exec(code, names)
        elif block.kind == "sh run":
            for words in commands_of(block):
                assert words[0] == "kc"
                done = CliRunner().invoke(app, words[1:])
                assert done.exit_code == 0, done.output


def commands_of(block: Block) -> list[list[str]]:
    return [shlex.split(line, comments=True) for line in block.text.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists(name: str):
    for words in commands(ROOT / name):
        if words[0] == "kc":
            assert known(words), words
        elif words[0] == "snakemake":
            given = get_argument_parser().parse_args(words[1:])
            assert set(given.targets or []) <= TARGETS, words
            for file in given.configfile or []:
                assert (ROOT / file).is_file(), words
            for profile in given.profile or []:
                assert (ROOT / profile).is_dir(), words
        elif words[0] == "make":
            rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in words[1:] if "=" not in word} <= set(rules), words


def test_commands_and_examples_are_found():
    pages = dict(zip(NAMES, PAGES, strict=True))
    assert ["make", "demo"] in commands(pages["docs/index.md"])
    assert ["snakemake", "--cores", "2", "stability"] in commands(pages["README.md"])
    kinds = {block.kind for page in PAGES for block in blocks(page)}
    assert {"python", "sh", "sh run"} <= kinds


def test_an_unknown_command_is_detected():
    assert known(["kc", "compare", "--a", "x"])
    assert not known(["kc", "compare", "--nothing", "x"])
    assert not known(["kc", "plant"])
    assert not known(["kc", "store", "inform", "x"])


@pytest.mark.parametrize("name", NAMES)
def test_every_link_has_a_target(name: str):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if not re.match(r"\w+:", link):
            assert (ROOT / name).parent.joinpath(link).exists(), link


PLACES = ("workflow/*/*.yaml", "workflow/rules/*.smk", "benchmarks/*.py", "kc/**/*.py")
TEXTS = [
    *PAGES,
    *(ROOT / name for name in ("CITATION.cff", "Makefile", "pyproject.toml", "config.yaml")),
    *(text for place in PLACES for text in sorted(ROOT.glob(place))),
]
FOLDERS = "kc|workflow|docs|envs|tests|benchmarks"


def lost(text: str) -> list[str]:
    """List the paths and the dotted names in a text that do not exist."""
    paths = re.findall(rf"(?<![\w/.~<])(?:{FOLDERS})/[\w./*-]*[\w*]", text)
    names = set(re.findall(r"(?<![\w/.'\"])kc(?:\.[A-Za-z]\w*)+", text))
    gone = [path for path in paths if not any(ROOT.glob(path))]
    gone += [name for name in sorted(names) if not found(name)]
    # a file of the user, and a path of Snakemake's
    return [name for name in gone if name not in ("kc.json", "workflow/Snakefile")]


def found(name: str) -> bool:
    """Return whether a module, or a name in one, exists, without importing it."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:cut])
        for file in (module.with_suffix(".py"), module / "__init__.py"):
            if file.is_file():
                return set(parts[cut : cut + 1]) <= bound(file)
    return False


@cache
def bound(file: Path) -> set[str]:
    """Return the names that a module binds."""
    nodes = [*ast.parse(file.read_text()).body]
    names = set()
    for node in nodes:
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                names.add(node.name)
            case ast.ImportFrom() | ast.Import():
                names |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign() | ast.AnnAssign():
                names |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
        if isinstance(node, ast.If):
            nodes += node.body
    return names


def test_every_path_and_module_that_is_named_exists():
    assert {text: gone for text in TEXTS if (gone := lost(text.read_text()))} == {}


def test_a_missing_path_or_module_is_detected():
    assert lost("see kc/consistency/net.py, :func:`kc.consistency.fit.fit` and kc.compare") == []
    gone = "`kc/own/fits.py`, kc.own, :func:`kc.consistency.fit.fitted`, tests/nothing/*.py."
    assert lost(gone) == [
        *("kc/own/fits.py", "tests/nothing/*.py", "kc.consistency.fit.fitted", "kc.own"),
    ]
