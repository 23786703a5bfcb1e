"""Files of settings with repeated keys or huge aliases are refused quickly."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kc.errors import SettingsError
from kc.settings.file import EXPANDED, LARGEST, read_mapping
from kc.settings.load import read_settings

ROOT = Path(__file__).parents[2]


def laughs(first, one, many):
    """Return about 474 bytes of nine nested levels of aliases: 9^9 values."""
    lines = [f"a: &a {first}"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{name}: &{name} " + many(one(before, n) for n in range(9)))
    return "\n".join(lines)


LISTS = laughs("[x]", lambda name, _: f"*{name}", lambda some: f"[{', '.join(some)}]")
MAPPINGS = laughs("{x: y}", lambda name, n: f"{n}: *{name}", lambda some: f"{{{', '.join(some)}}}")
MERGED = laughs("{x: y}", lambda name, _: f"*{name}", lambda some: f"{{<<: [{', '.join(some)}]}}")


@pytest.mark.parametrize("text", [LISTS, MAPPINGS, MERGED], ids=["lists", "mappings", "merged"])
def test_aliases_that_expand_to_too_many_values_are_refused_at_once(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    began = time.perf_counter()
    with pytest.raises(SettingsError, match=rf"mine\.yaml: its aliases expand to .*{EXPANDED:,}"):
        read_settings([file])
    assert time.perf_counter() - began < 1


def test_ordinary_aliases_are_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\n")
    x = {"x": 1, "y": 2}
    assert read_mapping(file) == {"a": x, "b": x, "c": {"x": 1, "y": 3}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3\n", r"line 3: the key 'a' appears twice, first in line 1"),
        ("a:\n  b: 1\n  c: {}\n  'b': 2\n", r"line 4: the key 'b' appears twice, first in line 2"),
        ("a: [1, {b: 1, b: 1}]\n", r"line 1: the key 'b' appears twice"),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2, b: 3}\n", r"line 2: the key 'b' appears twice"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r"the key 'c' appears twice"),
        ('{\n\t"a": 1, "a": 2}', r"the key 'a' appears twice"),
        ("a: &x [*x]\n", r"line 1: an alias is part of what it repeats"),
        ("a: " + "9" * 5000, "not readable as YAML"),
        ("a: 2024-13-45\n", "not readable as YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not readable as YAML"),
        ("a: [1\n", "not readable as YAML"),
        ("a: 1\n--- \nb: 2\n", "not readable as YAML"),
        ("a: \udcff", "not readable as YAML"),
        ("a: " + "[" * 2000, "nested too deeply"),
        ("- 1\n", "expected a mapping"),
        ("", "expected a mapping of settings, got None"),
        ("__use_yte__: true\nresults: ?1+1\n", "makes Snakemake run Python"),
        ("a: " + "x" * LARGEST, "more than 262,144 bytes"),
    ],
)
def test_a_misleading_file_is_refused(tmp_path, text, told):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=rf"mine\.yaml.*{told}"):
        read_mapping(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"none\.yaml: not readable as YAML .*No such file"):
        read_mapping(tmp_path / "none.yaml")


def test_a_file_written_on_windows_is_read(tmp_path):
    (tmp_path / "mine.yaml").write_bytes("\ufeffresults: a\r\n".encode())
    assert read_mapping(tmp_path / "mine.yaml") == {"results": "a"}


def test_the_workflow_refuses_a_file_that_snakemake_accepts(tmp_path):
    (tmp_path / "mine.yaml").write_text("training: {epochs: 1}\nresults: out\ntraining: {}\n")
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--directory", tmp_path]
    command += ["--snakefile", ROOT / "Snakefile", "--configfile", tmp_path / "mine.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert (
        "mine.yaml, line 3: the key 'training' appears twice, first in line 1"
        in done.stdout + done.stderr
    )
