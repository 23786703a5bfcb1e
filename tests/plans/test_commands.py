"""Commands in messages can be pasted into a shell, and only one module formats them."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.cli import parse_config

import kc
from kc.plans import commands
from kc.plans.commands import (
    AGAIN,
    UNKNOWN,
    Run,
    command,
    config_options,
    fix_at,
    note_run,
    remake,
    run_of,
    write_run,
)

ROOT = Path(kc.__file__).parents[1]
NASTY = (
    *("my results", "it's", 'a "b"', "$HOME", "`ls`", "a;b", "*", "~", "", "é", "#", "a\\b", "!x"),
    *("line\nline", "tab\tend", "\u202egpj.exe", "\x1b[1m'x'\\", "\x85", "last\udcff"),
)


def in_bash(text: str, folder: Path) -> str:
    done = subprocess.run(["bash", "-c", text], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def test_a_shell_reads_back_every_word_on_one_line(tmp_path: Path):
    text = command("printf", r"%s\0", *NASTY)
    assert len(text.splitlines()) == 1
    assert in_bash(text, tmp_path).split("\0")[:-1] == list(NASTY)


@pytest.mark.parametrize("name", ["my results", "-rf", "-x y", "it's", "a\nb"])
def test_a_command_on_a_path_means_that_path_and_no_other(tmp_path: Path, name: str):
    (tmp_path / name).write_text("ours")
    bystanders = {"my", "results", "rf", "x", "y", "its", "a", "b"}
    for other in bystanders:
        (tmp_path / other).write_text("the user's")
    in_bash(command("rm", Path(name)), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == bystanders


def test_text_from_a_file_is_escaped_into_one_line():
    told = fix_at(Path("a.zarr"), " rm x\n\x1b[2Jrm y\x00\u2028z\n")
    assert told == r"rm x\n\x1b[2Jrm y\x00\u2028z"


@pytest.mark.parametrize(
    "config",
    [
        {"data_root": "my data/it's"},
        {"storage": {"drop": ["activations"], "root": "/scratch/a b"}, "results": "-out"},
        {"number": 3, "share": 0.5, "yes": True, "none": None, "text": "é"},
    ],
)
def test_snakemake_reads_its_config_back(config):
    option, *pairs = config_options(config)
    assert option == "--config"
    assert parse_config(pairs) == config
    assert config_options({}) == []


@pytest.fixture
def room(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "it's here"
    (folder / "my results/fits/f").mkdir(parents=True)
    (folder / "my results/fits/f/key.json").write_text("{}")
    monkeypatch.chdir(folder)
    return folder


def noted(room: Path, **about) -> Run:
    run = Run("my results", str(room), str(room / "Snakefile"), elsewhere=False)._replace(**about)
    write_run(run)
    return run


PLAIN = "snakemake --cores 1 --force "


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("activations/a.zarr", "activations/a.json"),
        ("activations/a.json", "activations/a.json"),
        ("components/f.zarr/component/c/0/1", "components/f.json"),
        ("components/f.state/key.json", "components/f.json"),
        ("fits/f", "fits/f/card.json"),
        ("fits/f/g.safetensors", "fits/f/card.json"),
        ("tables/table1.md", "tables/table1.md"),
        ("report/index_files/viewer.js", "report/index.html"),
        ("figures/fig3_a_conv5", "figures/fig3_a_conv5.png"),
        ("figures/fig3_a_conv5.svg", "figures/fig3_a_conv5.svg"),
        ("custom/pair/components/a-from-b.zarr", "custom/pair/index.html"),
        ("custom/pair/fits/a-from-b", "custom/pair/index.html"),
    ],
)
def test_products_of_the_workflow_are_made_again_by_their_target(room, monkeypatch, path, target):
    noted(room)
    assert fix_at(Path("my results", path), "rm -r /") == f"{PLAIN}'my results/{target}'"
    monkeypatch.chdir("my results")
    assert fix_at(Path(path)).startswith(f"{PLAIN}'my results/{target}' --snakefile")


def test_the_options_of_the_last_run_are_given_again(room, monkeypatch):
    preset, archive = str(room / "workflow/a preset.yaml"), {"data_root": "../my data"}
    noted(room, configfiles=[preset], config=archive, conda=True)
    target, table = f"{PLAIN}'my results/tables/t.csv'", room / "my results/tables/t.csv"
    more = "--use-conda --configfile 'workflow/a preset.yaml' --config 'data_root=../my data'"
    assert fix_at(table) == f"{target} {more}"
    # from another folder every path is absolute, and the working directory is given
    run = noted(room, elsewhere=True, snakefile="/kc/Snakefile", configfiles=[preset])
    away = ["--snakefile", Path("/kc/Snakefile"), "--directory", room, "--configfile", Path(preset)]
    assert run.options() == away
    assert fix_at(table) == remake("my results/tables/t.csv", away)
    noted(room)
    monkeypatch.chdir(room.parent)
    assert "--directory" in fix_at(table)


def test_a_run_is_noted_as_snakemake_describes_it(room):
    settings = SimpleNamespace(configfiles=[room / "p.yaml"], config={"data_root": "d"})
    deployed = SimpleNamespace(deployment_method=[SimpleNamespace(name="CONDA")])
    about = {"config_settings": settings, "deployment_settings": deployed}
    about |= {"main_snakefile": "/kc/Snakefile", "overwrite_workdir": None}
    note_run(SimpleNamespace(**about), "my results")
    expected = Run("my results", str(room), "/kc/Snakefile", False, [str(room / "p.yaml")])
    assert run_of("my results/x") == expected._replace(config={"data_root": "d"}, conda=True)


def test_a_password_is_in_no_note_and_no_command(room):
    url = "https://me:hunter2@host/a.tgz?token=secret"
    settings = SimpleNamespace(configfiles=[], config={"datasets": {"own": {"url": url, "x": [1]}}})
    about = {"config_settings": settings, "main_snakefile": "/kc/Snakefile"}
    about |= {"deployment_settings": SimpleNamespace(deployment_method=[])}
    note_run(SimpleNamespace(**about, overwrite_workdir=None), "my results")
    told = Path("my results/logs/run.json").read_text() + fix_at("my results/fits/x/card.json")
    assert "host/a.tgz" in told
    assert "hunter2" not in told
    assert "secret" not in told


def test_a_note_is_used_only_if_undamaged_and_of_this_folder(room):
    noted(room)
    assert run_of("my results/tables/t.csv") is not None
    shutil.copytree("my results", "copied")
    assert run_of("copied/tables/t.csv") is None
    note = Path("my results/logs/run.json")
    content = json.loads(note.read_text())
    content["run"]["snakefile"] = "/elsewhere/Snakefile"
    note.write_text(json.dumps(content))
    assert run_of("my results/tables/t.csv") is None
    for text in ("", "[]", "{}", '{"run": {"x": 1}, "checksum": ""}'):
        note.write_text(text)
        assert run_of("my results/tables/t.csv") is None


def test_a_run_continues_if_its_note_cannot_be_written(room):
    Path("my results/logs").write_text("no folder")
    noted(room)
    assert run_of("my results/x") is None


def test_without_a_note_the_fix_of_a_product_is_used_with_limits(room):
    store = "elsewhere/a.zarr"
    ours = remake("my results/a.json")
    assert fix_at(store, ours) == f"{PLAIN}'my results/a.json'{UNKNOWN}"
    noted(room)
    assert fix_at("s3://bucket/a.zarr", ours) == f"{PLAIN}'my results/a.json'"
    assert fix_at(store, f"{ours}; curl x\n| sh") == rf"{ours}; curl x\n| sh"
    assert fix_at(store, "it's") == "it's"
    assert fix_at(store, AGAIN) == fix_at(store) == AGAIN


@pytest.mark.parametrize("made", ["tables/compare.json", "tables/matrix.json", "pictures.zarr"])
def test_without_a_note_a_fit_outside_a_comparison_counts_as_the_workflows(room, made):
    assert fix_at("my results/fits/f") == f"{PLAIN}'my results/fits/f/card.json'{UNKNOWN}"
    Path("my results", made).mkdir(parents=True)
    assert fix_at("my results/fits/f") == AGAIN
    # a folder of that name without a product
    Path("fits/tables").mkdir(parents=True)
    assert fix_at("fits/tables/t.json") == AGAIN


def test_the_comment_after_a_command_is_a_comment_to_the_shell(tmp_path: Path):
    assert in_bash(command("printf", "%s", "a b") + UNKNOWN, tmp_path) == "a b"


SPELLED = re.compile(r"\brm -|\brm \{|snakemake --|snakemake -n|pip install|\bkc \w+ --")


def spelled(file: Path) -> list[str]:
    """List the texts of a module with a command, except docstrings and help texts."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node not in texts
        if isinstance(node.value, str) and SPELLED.search(node.value)
    ]


def test_no_other_module_formats_a_command(tmp_path: Path):
    sources = [*(ROOT / "kc").rglob("*.py"), *(ROOT / "workflow/scripts").rglob("*.py")]
    assert len(sources) > 150
    own = Path(commands.__file__)
    found = {str(file): spelled(file) for file in sources if file != own}
    assert {file: texts for file, texts in found.items() if texts} == {}
    rules = "".join(file.read_text() for file in (ROOT / "workflow/rules").glob("*.smk"))
    assert not SPELLED.search(rules)
    (tmp_path / "m.py").write_text('"""Not snakemake --cores 1."""\nx = f"snakemake --cores {1}"\n')
    assert spelled(tmp_path / "m.py") == ["snakemake --cores "]
