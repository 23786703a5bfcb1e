import ast
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import kc
from kc.cli import terminal
from kc.cli.main import app
from kc.errors import StoreError, ending
from kc.settings.whole import json_schema
from kc.store import ArraySpec, StoreContent, StoreWriter

ROOT = Path(__file__).parents[2]
COUNT = 6


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def store(tmp_path):
    rows = pd.DataFrame(
        {
            "image_id": [f"bird{index}.jpg" for index in range(COUNT)],
            "label": [0, 1, 0, 1, 0, 1],
            "class_name": ["gull", "wren"] * 3,
            "subset": ["train"] * 4 + ["test"] * 2,
        }
    )
    spec = ArraySpec("image", ("image", "channel", "y", "x"), (COUNT, 3, 4, 4), "uint8")
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 4, 4), dtype=np.uint8)
    path = tmp_path / "birds.zarr"
    with StoreWriter(
        path,
        "key",
        StoreContent([spec], rows, 4, attributes={"layout": "cub"}, passed_over={".heic": 2}),
    ) as writer:
        for shard in writer.missing():
            writer.write(shard, {"image": pixels[writer.rows(shard)]})
        writer.finish()
    return path


def damage(store):
    shard = next(path for path in store.glob("image/c/1/**/*") if path.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)


def test_info_describes_a_store(store):
    found = run("store", "info", store)
    assert found.exit_code == 0, found.output
    assert "6 images" in found.output
    assert "image: 6 x 3 x 4 x 4 (image, channel, y, x) uint8, 2 shards of 4 images" in found.output
    assert "layout: cub" in found.output


def test_info_describes_the_image_of_a_row(store):
    found = run("store", "info", store, "--row", 5)
    assert found.output.splitlines()[0] == "image_id: bird5.jpg"
    assert "subset: test" in found.output


@pytest.mark.parametrize("row", [-1, COUNT])
def test_a_row_out_of_range_is_one_clear_error(store, row):
    found = run("store", "info", store, f"--row={row}")
    assert found.exit_code == 2
    assert f"no row {row}; there are rows 0 to 5" in found.output
    assert "Traceback" not in found.output


def test_verify_passes_an_undamaged_store_and_names_the_damaged_shard(store):
    assert run("store", "verify", store).exit_code == 0
    damage(store)
    found = run("store", "verify", store)
    assert found.exit_code == 1
    assert "birds" in found.output
    assert "shard" in found.output


def test_a_folder_that_is_no_store_is_one_clear_error(tmp_path):
    found = run("store", "verify", tmp_path / "nothing.zarr")
    assert found.exit_code == 2
    assert "StoreError" in found.output


def test_commands_print_json_for_other_programs(store, tmp_path):
    about = json.loads(run("store", "info", store, "--json").stdout)
    assert about["images"] == COUNT
    (array,) = about["arrays"]
    shards = [file.stat().st_size for file in store.glob("image/c/**/*") if file.is_file()]
    wanted = {"name": "image", "shape": [6, 3, 4, 4], "dtype": "uint8", "shards": 2}
    assert wanted.items() <= array.items()
    assert array["bytes"] == sum(shards)
    assert json.loads(run("store", "info", store, "--row", 5, "--json").stdout) == {
        "image_id": "bird5.jpg", "label": 1, "class_name": "wren", "subset": "test",
    }  # fmt: skip
    counted = json.loads(run("images", "info", store, "--json").stdout)
    assert counted["passed_over"] == {".heic": 2}
    assert counted["classes"][0] == {"label": 0, "class_name": "gull", "test": 1, "train": 2}
    assert json.loads(run("store", "verify", store, "--json").stdout)["damages"] == []
    damage(store)
    found = run("store", "verify", store, "--json")
    assert found.exit_code == 1
    (told,) = json.loads(found.stdout)["damages"]
    assert "shard" in told


def test_images_are_counted_by_class_and_subset(store):
    found = run("images", "info", store)
    assert found.exit_code == 0, found.output
    lines = [line.split() for line in found.output.splitlines()]
    assert ["0", "gull", "1", "2"] in lines
    assert "6 images of 2 classes: 4 train, 2 test" in found.output
    assert lines[-1] == ["passed", "over:", "2", ".heic"]


def test_the_schema_is_that_of_the_settings():
    found = run("config", "schema")
    assert found.output == json_schema()
    assert json.loads(found.output)["additionalProperties"] is False


def test_settings_are_merged_and_checked(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("consistency: {order: 1}\n")
    assert run("config", "check", ROOT / "config.yaml", preset).exit_code == 0
    preset.write_text("consistency: {oder: 1}\n")
    found = run("config", "check", ROOT / "config.yaml", preset)
    assert found.exit_code == 2
    assert "consistency.oder: unknown key, did you mean 'order'?" in found.output


@pytest.mark.parametrize(("content", "told"), [("- a list\n", "a mapping"), ("a: [", "YAML")])
def test_settings_that_are_not_a_mapping_are_refused(tmp_path, content, told):
    preset = tmp_path / "mine.yaml"
    preset.write_text(content)
    found = run("config", "check", preset)
    assert found.exit_code == 2
    assert told in found.output


def test_the_plan_of_the_paper_has_the_bytes_counted_by_hand():
    preset = ROOT / "workflow" / "presets" / "paper.yaml"
    found = run("plan", "stability", "--configfile", preset, "--base", ROOT / "config.yaml")
    assert found.exit_code == 0, found.output
    rows = {line.split()[0]: line.split()[1:] for line in found.output.splitlines()[1:6]}
    # 3 architectures, each 5 seeds, one of them untrained too, and 5 half-splits of 3 networks;
    # 11,788 pictures of 224 px in 3 colours
    assert rows["networks"][0] == str(3 * (5 + 1 + 15))
    assert rows["images"] == ["1", f"{11788 * 3 * 224**2 / 1e9:.3g}", "GB", "1", "0"]


def test_a_plan_as_json_has_the_bytes_of_the_text():
    plan = ("plan", "stability", "--base", ROOT / "config.yaml")
    found = json.loads(run(*plan, "--json").stdout)
    assert found["bytes"] == sum(row["bytes"] for row in found["products"])
    assert f"on disk, {found['jobs']} jobs, {found['gpu_jobs']} may use a GPU" in run(*plan).stdout


def test_a_plan_needs_the_number_of_images(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("datasets: {birds: {archive: x.tgz}}\n")
    found = run("plan", "stability", "--configfile", preset, "--base", ROOT / "config.yaml")
    assert found.exit_code == 2
    assert "datasets.birds.images is not set" in found.output


def test_the_version_is_that_of_the_package():
    assert run("--version").output == f"kc {kc.__version__}\n"
    as_module = subprocess.run(
        [sys.executable, "-m", "kc", "--version"], capture_output=True, text=True, check=True
    )
    assert as_module.stdout == f"kc {kc.__version__}\n"


def test_every_command_can_be_quiet_or_verbose():
    told = [run(*name, "--help").output for name in [("compare",), ("store", "verify"), ("plan",)]]
    assert all("--quiet" in text and "--verbose" in text for text in told)


@pytest.mark.parametrize(("quiet", "verbose", "shown"), [(0, 0, 1), (1, 0, 0), (0, 1, 2)])
def test_loudness_decides_what_of_the_log_is_shown(quiet, verbose, shown, capsys):
    log, before = logging.getLogger("kc.somewhere"), logging.getLogger("kc").level
    with terminal.loudness(bool(quiet), bool(verbose)):
        log.info("a detail")
        log.warning("a warning")
        told = [log.isEnabledFor(level) for level in (logging.WARNING, logging.INFO)]
    assert sum(told) == shown
    assert logging.getLogger("kc").level == before
    assert ("a detail" in capsys.readouterr().err) == bool(verbose)


def test_a_table_is_no_wider_than_the_terminal(monkeypatch, capsys):
    shown = {
        "heads": ["target", "a long header", "last"],
        "sides": ["left", "right", "right"],
        "rows": [[f"row{number}", "0.123", "0.5"] for number in range(25)],
        "notes": ["Warning: not finished", "Something else."],
    }
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    terminal.show_table(shown, Path("all.csv"))
    told = re.sub(r"\x1b\[[0-9]*m", "", capsys.readouterr().out)
    lines = told.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("not shown", "Warning"))) <= 20
    assert "not shown, in all.csv: 5 more rows; last" in lines
    assert "0.123" in told
    assert "row20" not in told
    assert lines[-1] == "Warning: not finished"
    monkeypatch.setenv("COLUMNS", "80")
    terminal.show_table(shown, Path("all.csv"))
    assert "not shown, in all.csv: 5 more rows\n" in capsys.readouterr().out


def failing(monkeypatch, error):
    def fail(_):
        raise error

    monkeypatch.setattr("kc.settings.whole.Settings.model_json_schema", lambda: fail(None))
    return run("config", "schema")


def test_a_fault_of_kc_is_one_line_with_its_place_and_a_trace(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    error = ValueError("no\nsuch \x1b[31m https://me:hunter2@host/x")
    found = failing(monkeypatch, error)
    assert found.exit_code == 3
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    (file,) = tmp_path.glob("kc-fault-*.txt")
    assert line.startswith(
        r"ValueError: no such \x1b[31m https://***@host/x (at kc/settings/whole.py:"
    )
    assert line.endswith(
        f"This is a fault of kc, not of yours. Fix: report it together with its trace, {file}"
    )
    trace = file.read_text()
    assert "Traceback (most recent call last)" in trace
    assert "in json_schema" in trace
    assert "hunter2" not in trace
    assert "\x1b" not in trace


def test_the_trace_is_shown_if_asked_for_or_if_it_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing"))
    assert "trace, below\nTraceback" in failing(monkeypatch, ValueError("x")).stderr
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("KC_DEBUG", "1")
    assert "\nTraceback (most recent" in failing(monkeypatch, ValueError("x")).stderr


class OutOfMemoryError(RuntimeError):
    """Named as torch's error for a GPU."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8.0 TiB"),
        OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_an_error_for_the_user_to_fix(monkeypatch, error):
    found = failing(monkeypatch, error)
    assert found.exit_code == 2
    assert (
        f"{error}: out of memory. Fix: end other programs or take a larger machine" in found.stderr
    )
    assert len(found.stderr.splitlines()) == 1


def test_an_interruption_is_one_line(monkeypatch):
    found = failing(monkeypatch, KeyboardInterrupt())
    assert found.exit_code == 130
    assert found.stderr == "interrupted; the same command again continues from what is complete\n"


def test_a_broken_pipe_that_is_not_the_output_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ending(BrokenPipeError(32, "Broken pipe")).code == 3


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_output_ends_the_command_without_a_message(unbuffered):
    command = [sys.executable, "-c", "from kc.cli import app; app()", "config", "schema"]
    about = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=about
    ) as process:
        process.stdout.close()  # before the schema, which comes half a second later
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_no_name_controls_the_terminal(monkeypatch):
    bad = "\x1b]0;owned\x07\u202e[red]x[/red]"
    spelled = r"\x1b]0;owned\x07\u202e[red]x[/red]"
    for arguments in (["config", "check", bad], ["config", "schema", bad], ["plan", f"--{bad}"]):
        found = run(*arguments)
        assert found.exit_code == 2
        assert not set(bad) & set(found.output) & {"\x1b", "\x07", "\u202e"}
        assert spelled[:20] in found.output
    with pytest.raises(StoreError) as told:
        raise StoreError(f"{bad}\nnext line")
    assert str(told.value) == f"{spelled}\nnext line"
    terminal.prepare()
    assert spelled in warnings.formatwarning(bad, UserWarning, "file.py", 1)


def test_any_name_is_printed_in_any_locale():
    about = os.environ | {"PYTHONIOENCODING": "latin-1"}
    program = r"from kc.cli.terminal import echo, prepare; prepare(); echo('x\u0394 \udcff')"
    found = subprocess.run(
        [sys.executable, "-c", program], env=about, capture_output=True, check=True
    )
    assert found.stdout == b"x\\u0394 \\udcff\n"


def test_commands_print_only_by_one_function():
    for path in (ROOT / "kc" / "cli").glob("*.py"):
        names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text()))}
        assert path.stem == "terminal" or not names & {"typer.echo", "typer.secho"}, path
