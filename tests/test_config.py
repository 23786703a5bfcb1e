import hashlib
from pathlib import Path

import pytest
import yaml

from kc.config import json_schema, load_settings, read_settings
from kc.errors import SettingsError
from kc.storage_config import Storage

ROOT = Path(__file__).parents[1]
PRESETS = sorted((ROOT / "workflow" / "presets").glob("*.yaml"))


def merged(base, over):
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {key: merged(base.get(key), value) for key, value in over.items()}


def default():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_presets_are_valid_and_write_to_folders_of_their_own(preset):
    raw = merged(default(), yaml.safe_load(preset.read_text()))
    settings = load_settings(raw | {"data_root": "/somewhere"})
    assert settings.results != load_settings(default()).results


def test_an_unknown_key_names_the_nearest_one():
    with pytest.raises(SettingsError, match=r"consistency\.penality.*did you mean 'penalty'"):
        load_settings({"consistency": {"penality": 1}})


def test_a_wrong_type_names_the_key_and_what_was_got():
    with pytest.raises(SettingsError, match=r"training\.epochs: .*integer.*got 'many'"):
        load_settings({"training": {"epochs": "many"}})


def test_an_unknown_layer_names_the_nearest_one():
    with pytest.raises(SettingsError, match=r"'conv4_4' is no layer of vgg16_bn.*'conv4_3'"):
        load_settings({"stability": {"layers": {"vgg16_bn": ["conv4_4"]}}})


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(SettingsError, match="vgg16_bn"):
        load_settings({"stability": {"layers": {"vgg17": ["conv4_3"]}}})


def test_an_archive_without_a_folder_to_look_in_is_refused():
    with pytest.raises(SettingsError, match="data_root is not set"):
        load_settings({"datasets": {"birds": {"archive": "x.tgz"}}})


def test_seeds_may_not_repeat():
    with pytest.raises(SettingsError, match="repeat"):
        load_settings({"stability": {"seeds": [1, 1]}})


def test_the_schema_file_is_the_one_generated_from_the_models():
    assert (ROOT / "kc" / "settings.schema.json").read_text() == json_schema()


def test_a_study_depends_on_its_own_section_and_baselines_on_all():
    changed = load_settings({"stability": {"half_splits": 1}, "orders": {"seeds": [1, 2]}})
    plain = load_settings({"orders": {"seeds": [1, 2]}})
    assert changed.of_study("orders") == plain.of_study("orders")
    assert changed.of_study("stability") != plain.of_study("stability")
    assert changed.of_study("baselines") != plain.of_study("baselines")


def test_downloads_are_listed_with_what_is_known_of_them():
    preset = ROOT / "workflow" / "presets" / "paper.yaml"
    settings = read_settings([ROOT / "config.yaml", preset], {"data_root": "d"})
    found = {path.as_posix(): (url, known) for url, path, known in settings.downloads()}
    assert set(found) == {
        *("d/CUB_200_2011.tgz", "d/VOCtrainval_11-May-2012.tar"),
        *(f"d/StanfordDogs/{name}.tar" for name in ("images", "annotation", "lists")),
    }
    url, known = found["d/StanfordDogs/lists.tar"]
    assert url == "http://vision.stanford.edu/aditya86/ImageNetDogs/lists.tar"
    assert known.startswith("sha256:")
    assert found["d/CUB_200_2011.tgz"][1] == "md5:97eceeb196236b17998738112f37df78"


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"files": {"a.tar": None}}, "set both"),
        ({"archive": "/d", "url": "http://x", "files": {"../a": None}}, "should match pattern"),
        ({"archive": "/d", "url": "http://x", "files": {"a.tar": "abc"}}, "should match pattern"),
    ],
)
def test_files_to_fetch_have_an_address_a_plain_name_and_a_checksum(about, told):
    with pytest.raises(SettingsError, match=told):
        load_settings({"datasets": {"dogs": {"layout": "dogs"} | about}})


def test_each_results_folder_has_a_prefix_of_its_own_under_a_shared_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared = Storage(root="s3://bucket/prefix/")
    digest = hashlib.sha256(str(tmp_path / "results").encode()).hexdigest()[:8]
    place = f"s3://bucket/prefix/results-{digest}/activations"
    assert shared.of("activations", Path("results")) == place
    assert shared.of("activations", tmp_path / "results") == place
    assert shared.of("activations", tmp_path / "one/results") != place
    (tmp_path / "link").symlink_to(tmp_path / "results")
    assert shared.of("activations", Path("link")) == place
    assert Storage().of("activations", Path("results")) == ""
