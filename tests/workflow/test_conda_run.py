"""The documented command with ``--use-conda``, end to end, with a stand-in for conda."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, copy_project
from tests.workflow.test_envs import MODULES, environment
from tests.workflow.test_runs import TINY

HERE = Path(__file__).parent
IMPORTED_AS = {pypi: module for module, pypi in MODULES.items()}


class CondaProject:
    """A copy of the project, and another working folder, with conda on the PATH."""

    def __init__(self, root, elsewhere, base):
        self.root, self.elsewhere, self.base = root, elsewhere, base

    def run(self, *arguments):
        # the installed kc must not help: it is to be found from the Snakefile's own folder
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        path = f"{self.base / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["snakemake", "--cores", "8", "--use-conda", *arguments]
        command += ["--snakefile", str(self.root / "Snakefile"), "--configfile", "tiny.yaml"]
        return subprocess.run(
            [*command, "--directory", str(self.elsewhere)],
            cwd=self.root,
            env=kept | {"PATH": path, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def imported(self):
        """Return what each environment's Pythons imported, and its prefix, by the file's name."""
        made_from = {file.read_text(): file.stem for file in (ROOT / "envs").glob("*.yaml")}
        found = {}
        for prefix in (self.elsewhere / ".snakemake" / "conda").iterdir():
            if prefix.is_dir():
                made_of = prefix.with_name(f"{prefix.name}.yaml").read_text()
                lists = [json.loads(f.read_text()) for f in (prefix / "imported").iterdir()]
                found[made_from.get(made_of, "edited")] = prefix, lists
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = copy_project(tmp_path_factory.mktemp("project"))
    base = tmp_path_factory.mktemp("base")
    (root / "tiny.yaml").write_text(TINY)
    (base / "bin").mkdir()
    for name in ("conda", "activate"):
        (base / "bin" / name).symlink_to(HERE / "conda" / name)
    return CondaProject(root, tmp_path_factory.mktemp("elsewhere"), base)


@pytest.fixture(scope="module")
def ran(project):
    done = project.run("stability")
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def foreign(prefix, imported, names):
    """List which of some packages were imported from outside the environment."""
    found = {name: imported.get(IMPORTED_AS.get(name, name)) for name in names}
    return {name for name, file in found.items() if file and not file.startswith(str(prefix))}


@pytest.mark.long
def test_the_documented_command_makes_the_table_from_another_folder(ran):
    assert (ran.elsewhere / "out" / "tables" / "table1.csv").is_file()
    assert not (ran.root / "out").exists()
    assert set(ran.imported()) == {"torch", "report"}


@pytest.mark.long
def test_kc_comes_from_the_checkout_and_its_packages_from_the_environment(ran):
    for name, (prefix, lists) in ran.imported().items():
        scripts = [imported for imported in lists if "kc" in imported]
        assert scripts
        for imported in scripts:
            assert imported["kc"] == str(ran.root / "kc" / "__init__.py")
            assert not foreign(prefix, imported, environment(name))
    used = {name for _, lists in ran.imported().values() for each in lists for name in each}
    assert {"torch", "zarr", "matplotlib", "tabulate"} <= used
    assert not any("torch" in each for each in ran.imported()["report"][1])


@pytest.mark.long
def test_a_package_missing_from_the_environment_is_detected(ran):
    """The counter-example: in Snakemake an environment falls back on Snakemake's packages."""
    spec = ran.root / "envs" / "report.yaml"
    lines = spec.read_text().splitlines(keepends=True)
    spec.write_text("".join(line for line in lines if "tabulate" not in line))
    done = ran.run("stability", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    prefix, lists = ran.imported()["edited"]
    told = [foreign(prefix, imported, environment("report")) for imported in lists]
    assert {"tabulate"} in told


def test_the_stand_in_refuses_a_version_that_is_not_installed(tmp_path):
    spec = tmp_path / "old.yaml"
    spec.write_text("dependencies: [python=3.12, zarr=2.18.0]")
    command = [sys.executable, HERE / "conda" / "conda", "env", "create", "--file", spec]
    done = subprocess.run([*command, "--prefix", tmp_path / "env"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "PackagesNotFoundError: zarr=2.18.0" in done.stderr
