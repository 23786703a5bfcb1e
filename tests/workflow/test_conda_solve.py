"""The environments solve for each platform, from a channel with the packages they name.

The channel is made here, with packages that hold nothing: what conda-forge carries is not known.
"""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from rattler import Channel, install
from rattler.exceptions import SolverError

from envs.pin import PLATFORMS, solved

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "envs").glob("*.yaml"))
PURE = {
    *(
        "dask-core",
        "einops",
        "jaxtyping",
        "jinja2",
        "requests",
        "tabulate",
        "tqdm",
        "xarray",
    ),
    *("pydantic", "zarr"),
}
"""Packages without compiled code: one for all platforms."""


def read(spec):
    return yaml.safe_load(spec.read_text())["dependencies"]


def named():
    """List all packages that the environments name, Python with a full version."""
    found = dict(line.split("=") for spec in SPECS for line in read(spec))
    return found | {"python": f"{found['python']}.1"}


def package(name, version, subdir):
    """Make an empty package; return its bytes and its line in the channel's index."""
    about = {"name": name, "version": version, "build": "0", "build_number": 0, "subdir": subdir}
    about |= {"depends": [] if name == "python" else ["python >=3.12,<3.13"]}
    if name == "numpy":
        about["depends"].append("__osx >=11" if subdir.startswith("osx") else "__glibc >=2.17")
    about |= {"noarch": "generic"} if subdir == "noarch" else {}
    inside = {
        "info/index.json": json.dumps(about),
        "info/files": f"share/{name}\n",
        f"share/{name}": version,
        "info/paths.json": json.dumps(
            {
                "paths_version": 1,
                "paths": [
                    {
                        "_path": f"share/{name}",
                        "path_type": "hardlink",
                        "sha256": hashlib.sha256(version.encode()).hexdigest(),
                        "size_in_bytes": len(version),
                    }
                ],
            }
        ),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as tar:
        for path, text in inside.items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    data = packed.getvalue()
    digests = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return data, about | digests | {"size": len(data)}


def make_channel(folder, packages):
    """Write packages and index, one folder for each platform."""
    for subdir in ("noarch", *PLATFORMS):
        place = folder / subdir
        place.mkdir(parents=True)
        index = {}
        for name, version in packages.items():
            if (name in PURE) == (subdir == "noarch"):
                data, about = package(name, version, subdir)
                index[f"{name}-{version}-0.tar.bz2"] = about
                (place / f"{name}-{version}-0.tar.bz2").write_bytes(data)
        listed = {"info": {"subdir": subdir}, "packages": index, "packages.conda": {}}
        (place / "repodata.json").write_text(json.dumps(listed))
    return Channel(folder.as_uri())


def solve(channel, spec, platform):
    return asyncio.run(solved(spec, channel, platform))


async def _awaited(work):
    return await work


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    return make_channel(tmp_path_factory.mktemp("channel") / "here", named())


@pytest.mark.parametrize("platform", list(PLATFORMS))
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_a_spec_solves_to_the_pins(channel, spec, platform):
    records = solve(channel, spec, platform)
    found = {record.name.normalized: str(record.version) for record in records}
    wanted = dict(line.split("=") for line in read(spec))
    assert found.pop("python").startswith(f"{wanted.pop('python')}.")
    assert found == wanted
    assert {record.subdir for record in records} == {platform, "noarch"}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.stem)
def test_what_was_solved_installs(channel, spec, tmp_path):
    records = solve(channel, spec, "linux-64")
    work = install(records, tmp_path / "env", tmp_path / "cache", show_progress=False)
    asyncio.run(_awaited(work))
    names = {path.name for path in (tmp_path / "env" / "share").iterdir()}
    assert names == {line.split("=")[0] for line in read(spec)}


def test_builds_are_frozen_for_each_platform(channel, tmp_path, tmp_path_factory):
    command = [sys.executable, ROOT / "envs" / "pin.py", "--out", tmp_path]
    # a cache of its own: other processes may write the user's at the same time
    own = {**os.environ, "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    ended = subprocess.run(
        [*command, "--channel", channel.base_url], env=own, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert len(list(tmp_path.iterdir())) == len(SPECS) * len(PLATFORMS)
    for spec in SPECS:
        for platform in PLATFORMS:
            file = tmp_path / f"{spec.stem}.{platform}.pin.txt"
            first, second, *lines = file.read_text().splitlines()
            assert (first, second) == (f"# platform: {platform}", "@EXPLICIT")
            assert len(lines) == len(read(spec))
            for line in lines:
                url, digest = line.split("#")
                path = Path(url.removeprefix("file://"))
                assert path.parent.name in (platform, "noarch")
                assert hashlib.md5(path.read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("change", ["missing", "another version"])
def test_a_channel_without_a_pin_does_not_solve(tmp_path, change):
    packages = named()
    if change == "missing":
        del packages["zarr"]
    else:
        packages["zarr"] = "2.18.0"
    channel = make_channel(tmp_path / "there", packages)
    for spec in SPECS:
        if any(line.startswith("zarr=") for line in read(spec)):
            with pytest.raises(SolverError, match="zarr"):
                solve(channel, spec, "linux-64")


def test_every_channel_is_named_in_the_file():
    for spec in SPECS:
        assert yaml.safe_load(spec.read_text())["channels"] == ["conda-forge", "nodefaults"]
