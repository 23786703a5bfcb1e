"""A manifest does not make kc access a bucket unless the user allows it."""

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kc.cli.main import app
from kc.errors import StoreError
from kc.names import STORAGE_ROOT
from kc.store import ArraySpec, StoreContent, StoreWriter, open_store
from kc.store.files import read_json, sign, write_json_atomic
from kc.store.network import over_network, trust

EVIL = "s3://evil/stores/a.zarr"


class ReachedError(Exception):
    """The bucket was accessed."""


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Write a manifest that names a bucket."""

    def reach(url):
        raise ReachedError(url)

    monkeypatch.setattr("kc.store.bucket.Bucket", reach)
    monkeypatch.setattr("kc.store.network._ROOTS", set())
    monkeypatch.delenv(STORAGE_ROOT, raising=False)
    rows = pd.DataFrame({"image_id": ["a.jpg", "b.jpg"]})
    specs = [ArraySpec("conv", ("image", "channel"), (2, 3), "float32")]
    with StoreWriter(tmp_path / "a.zarr", "k", StoreContent(specs, rows, 2)) as writer:
        writer.write(0, {"conv": np.ones((2, 3))})
        writer.finish()

    def make(location=EVIL):
        manifest = read_json(tmp_path / "a.json") | {"location": location}
        manifest.pop("checksum")
        write_json_atomic(tmp_path / "a.json", sign(manifest))
        return tmp_path / "a.json"

    return make


def test_a_manifest_that_names_a_bucket_is_not_followed(sent):
    told = r"a\.json: its arrays are on the network, in 's3://evil/.*--network .*network=True"
    for path in (sent(), sent().with_suffix(".zarr")):
        with pytest.raises(StoreError, match=told):
            open_store(path)


def test_a_manifest_that_names_a_bucket_is_followed_if_asked(sent):
    with pytest.raises(ReachedError, match="s3://evil/stores"):
        open_store(sent(), network=True)
    with over_network(True), pytest.raises(ReachedError):
        open_store(sent())
    with over_network(False), pytest.raises(StoreError, match="on the network"):
        open_store(sent())
    with pytest.raises(StoreError, match="on the network"):
        open_store(sent())


@pytest.mark.parametrize("root", ["s3://evil", "s3://evil/", "s3://evil/stores"])
def test_a_manifest_is_followed_below_the_root_of_settings_or_writer(sent, monkeypatch, root):
    monkeypatch.setenv(STORAGE_ROOT, root)
    with pytest.raises(ReachedError):
        open_store(sent())
    monkeypatch.setenv(STORAGE_ROOT, "")
    trust(root)
    with pytest.raises(ReachedError):
        open_store(sent())


@pytest.mark.parametrize("root", ["", "s3://ev", "s3://evil/store", "s3://other", "/"])
def test_a_manifest_is_not_followed_to_another_root(sent, monkeypatch, root):
    monkeypatch.setenv(STORAGE_ROOT, root)
    for location in (EVIL, "s3:/evil/stores/a.zarr", "s3://other/../evil/a.zarr"):
        with pytest.raises(StoreError, match="on the network"):
            open_store(sent(location))


@pytest.mark.parametrize("location", [5, None, "", ["s3://evil/a.zarr"], {"a": 1}])
def test_a_location_that_is_not_a_path_is_refused(sent, location):
    with pytest.raises(StoreError, match=r"a\.json: 'location' is no path"):
        open_store(sent(location))


def test_a_location_on_this_machine_is_followed(sent, tmp_path):
    assert open_store(sent(str(tmp_path / "a.zarr"))).verify() == []


@pytest.mark.parametrize("command", [["store", "verify"], ["store", "info"]])
def test_the_error_says_how_to_allow_the_network(sent, command):
    path = str(sent())
    done = CliRunner().invoke(app, [*command, path])
    assert done.exit_code in (1, 2)
    assert "on the network, in 's3://evil/stores/a.zarr'" in done.stderr
    assert "--network" in done.stderr
    done = CliRunner().invoke(app, [*command, "--network", path])
    # the bucket is accessed: the error of the test is shown as a fault of kc
    assert done.exit_code == 3
    assert "ReachedError" in done.stderr
    assert CliRunner().invoke(app, [*command, path]).exit_code in (1, 2)
