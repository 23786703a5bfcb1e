import hashlib
import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from kc.errors import SettingsError
from kc.plans.studies import plan_of
from kc.settings.load import load_settings, read_settings
from kc.settings.storage import Storage
from kc.settings.whole import json_schema

ROOT = Path(__file__).parents[2]
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


@pytest.mark.parametrize("name", ["gpu", "cuda:", "mps", "CPU", ""])
def test_a_device_is_auto_cpu_or_a_gpu_by_its_number(name):
    for good in ("auto", "cpu", "cuda", "cuda:1"):
        assert load_settings({"device": good}).device == good
    with pytest.raises(
        SettingsError, match=r"device: expected auto, cpu, cuda or cuda:1, got"
    ) as e:
        load_settings({"device": name})
    assert ("no float64" in str(e.value)) == (name == "mps")


def test_an_unknown_layer_names_the_nearest_one():
    with pytest.raises(SettingsError, match=r"'conv4_4' is no layer of vgg16_bn.*'conv4_3'"):
        load_settings({"stability": {"layers": {"vgg16_bn": ["conv4_4"]}}})


def test_an_unknown_network_lists_the_known_ones():
    with pytest.raises(SettingsError, match="vgg16_bn"):
        load_settings({"stability": {"layers": {"vgg17": ["conv4_3"]}}})


def test_a_relative_archive_without_data_root_is_refused():
    with pytest.raises(SettingsError, match="data_root is not set"):
        load_settings({"datasets": {"birds": {"archive": "x.tgz"}}})


@pytest.mark.parametrize(
    ("study", "values"),
    [
        ("stability", {"seeds": [1, 2, 1]}),
        ("refinement", {"seeds": [1, 1]}),
        ("orders", {"seeds": ["1", 1]}),
        ("compression", {"layers": ["conv5_3", "conv5_3"]}),
        ("concepts", {"architectures": ["vgg11", "vgg11"]}),
        ("compression", {"removed": [0.5, 0.5]}),
        ("compression", {"removed": [0.5, 0.50000001]}),
    ],
)
def test_seeds_layers_and_shares_may_not_repeat(study, values):
    with pytest.raises(SettingsError, match=rf"{study}.* appears? twice"):
        load_settings({study: values})


BAD_NAMES = [
    *("../../x", "/abs", "a/b", "a b", "{x}", "{s,.*}", "a*b", "$(touch X)", "`touch X`", "a;b"),
    *("a'b", 'a"b', "", ".", "..", "a.b", "a\nb", "a\n", "x" * 65, "\u202ex", "\x1b[2J", "-rf"),
    *("_x", "a#b", "a?b", "a%b", "é", "²", "a|b", "a<b", "a\x00b", "a,b", "a=b", "~", "a\\b"),
]


def named(name):
    """Put a name in every setting that takes one."""
    sides = {"a": "resnet18", "b": "resnet18"}
    task = {"dataset": "objects", "superclass": "animal"}
    return {
        "datasets": {"datasets": {name: {}}},
        "datasets.mix.parts.0": {
            "datasets": {"mix": {"layout": "mixture", "parts": [name, "birds"]}}
        },
        "training.dataset_epochs": {"training": {"dataset_epochs": {name: 1}}},
        "custom.0.name": {"custom": [sides | {"name": name}]},
        "stability.dataset": {"stability": {"dataset": name}},
        "redundancy.tasks": {"redundancy": {"tasks": {name: task}}},
        "redundancy.tasks.t.superclass": {
            "redundancy": {"tasks": {"t": task | {"superclass": name}}}
        },
        "baselines.studies.0": {"baselines": {"studies": [name]}},
        "concepts.dataset": {"concepts": {"dataset": name}},
        "concepts.dataset_layers": {"concepts": {"dataset_layers": {name: ["fc1"]}}},
        "concepts.dataset_classes": {"concepts": {"dataset_classes": {name: ["x"]}}},
    }


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_is_not_a_plain_word_is_refused_everywhere(name):
    for where, raw in named(name).items():
        with pytest.raises(SettingsError, match=rf"{where}.*expected a name of 1 to 64") as caught:
            load_settings(raw)
        assert all(line.isprintable() for line in str(caught.value).splitlines())


def test_names_that_are_plain_words_are_accepted():
    for name in ("a", "CUB_200-2011", "0", "x" * 64):
        load_settings({"datasets": {name: {}}})


@pytest.mark.parametrize(
    "layer", ["../../x.y", "$(touch X).a", "a.b/c", "a..b", ".a", "a.", "{a}.b", "a.b\n", "a" * 65]
)
def test_a_layer_that_is_no_node_is_refused(layer):
    for raw in (
        {"stability": {"layers": {"vgg16_bn": [layer]}}},
        {"compression": {"layers": [layer]}},
        {"diagnosis": {"weak_layer": layer}},
    ):
        with pytest.raises(SettingsError, match=r"expected a layer such as|at most 64 characters"):
            load_settings(raw)


def test_names_that_make_file_names_too_long_are_refused():
    name = "x" * 60
    task = {"dataset": name, "superclass": "y" * 60}
    settings = load_settings({"datasets": {name: {}}, "redundancy": {"tasks": {"t": task}}})
    with pytest.raises(SettingsError, match=r"redundancy: the file name x+.* expected at most 220"):
        plan_of(settings, "redundancy")


@pytest.mark.parametrize(
    ("results", "told"),
    [
        *(
            ("", "not a separate folder"),
            (".", "not a separate folder"),
            ("/", "not a separate folder"),
        ),
        *(("../../x", "'..' is not allowed"), ("/a/../b", "'..' is not allowed")),
        *((bad, "no path for the workflow") for bad in ("-x", "~/x", "a{b}c", "a$(x)", "a`x`")),
        *((bad, "no path for the workflow") for bad in ("a\nb", "a'b", 'a"b', "a\\b", "a;b")),
        *((bad, "no path for the workflow") for bad in ("a\x00", "a*", "\u202ea", "x" * 1001)),
        *((7, "not a valid path"), (None, "not a valid path"), (True, "no true or false")),
    ],
)
def test_a_results_folder_that_a_shell_or_snakemake_would_misread_is_refused(results, told):
    with pytest.raises(SettingsError, match=rf"results: .*{told}"):
        load_settings({"results": results})


def test_results_may_be_any_other_folder(tmp_path):
    for results in ("a", "a/b", "my results (é), 2%", str(tmp_path), "./a"):
        assert load_settings({"results": results}).results == Path(results)


@pytest.mark.parametrize(
    "raw",
    [
        {"data_root": "a{b}"},
        {"datasets": {"birds": {"archive": "/a/$(touch X)"}}},
        {"datasets": {"birds": {"archive": "../a"}}, "data_root": "d"},
        {"custom": [{"name": "x", "a": "$(x).npy", "b": "b.npy"}]},
        {"custom": [{"name": "x", "a": "vgg11", "b": "vgg11", "images": "{a}"}]},
        {"storage": {"root": "/a/$(touch X)"}},
        {"storage": {"root": "/../x"}},
        {"storage": {"root": "/"}},
        {"storage": {"root": "folder"}},
        *(
            {"storage": {"root": f"s3://{bad}"}}
            for bad in ("", "b?x=1", "b/../x", "k:s@b", "b/$(x)")
        ),
    ],
)
def test_other_paths_that_would_be_misread_are_refused(raw):
    with pytest.raises(
        SettingsError,
        match=r"no path for the workflow|is not allowed|expected an abs|not a separate",
    ):
        load_settings(raw)


def test_a_root_in_a_bucket_or_a_folder_is_accepted():
    for root in ("s3://bucket", "s3://my-bucket.x/a_b/run=1/", "/scratch/my name"):
        assert load_settings({"storage": {"root": root}}).storage.root == root


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"training": {"learning_rate": float("inf")}}, r"learning_rate: .*finite.*got inf"),
        ({"training": {"learning_rate": "nan"}}, r"learning_rate: .*finite"),
        ({"training": {"weight_decay": "1e999"}}, r"weight_decay: .*finite"),
        ({"consistency": {"penalty": float("nan")}}, r"penalty.*finite"),
        ({"concepts": {"thresholds": {"alexnet": float("inf")}}}, r"thresholds.alexnet: .*finite"),
        ({"compression": {"removed": [float("nan")]}}, r"removed.0: .*finite"),
        ({"training": {"epochs": True}}, r"training.epochs: expected no true or false"),
        ({"training": {"batch_size": False}}, r"training.batch_size: expected no true or false"),
        ({"stability": {"seeds": [0, True]}}, r"stability.seeds: expected no true or false"),
        ({"training": {"dataset_epochs": {"a": True}}}, r"dataset_epochs: expected no true"),
        ({"consistency": {"kernel_size": True}}, r"kernel_size: expected no true or false"),
        ({"training": {"epochs": 10**30}}, r"epochs: .*less than or equal"),
        ({"datasets": {"birds": {"seed": 10**400}}}, r"birds.seed: .*less than 4294967296"),
        ({"datasets": {"birds": {"seed": 10**5000}}}, r"birds.seed: .*thousands of digits"),
        ({"training": {"learning_rate": 10**400}}, r"learning_rate: .*valid number"),
        ({"tails": {"seed": -1}}, r"tails.seed: .*greater than or equal to 0"),
        ({"datasets": {"birds": {"size": 10**9}}}, r"size: .*less than or equal"),
        ({"datasets": {"birds": {"generated": {"canvas": 10**9}}}}, r"canvas: .*less than or eq"),
        ({"born_again": {"generations": 10**6}}, r"generations: .*less than or equal"),
        ({"cluster": {"scatter": 10**9}}, r"scatter: .*less than or equal"),
        ({"concepts": {"max_batch": 10**18}}, r"max_batch: .*less than or equal"),
        ({"activations": {"shard_rows": 10**12}}, r"shard_rows: .*less than or equal"),
        ({"stability": {"seeds": list(range(65))}}, r"stability.seeds: .*at most 64"),
        ({"networks": {"vgg11": {"width": 1e-300}}}, r"width: .*greater than or equal"),
    ],
)
def test_values_that_are_not_numbers_or_too_large_are_refused(raw, told):
    with pytest.raises(SettingsError, match=told) as caught:
        load_settings(raw)
    assert len(str(caught.value)) < 600


def test_numbers_that_snakemake_passes_as_text_are_read():
    """Within braces, --config passes all values as text."""
    settings = load_settings(
        {
            "training": {"epochs": "7", "learning_rate": "1e-3", "augment": "true"},
            "stability": {"seeds": ["0", "1"]},
            "consistency": {"kernel_size": "5", "penalty": "0.2"},
        }
    )
    assert (settings.training.epochs, settings.training.learning_rate) == (7, 1e-3)
    assert settings.training.augment
    assert settings.stability.seeds == (0, 1)
    assert (settings.consistency.kernel_size, settings.consistency.penalty) == (5, 0.2)


def test_of_many_faults_some_are_shown_and_all_are_counted():
    with pytest.raises(SettingsError, match=r"(?s)50 fault\(s\).*and 30 more"):
        load_settings({f"key{n}": 1 for n in range(50)})


def test_classes_have_names_of_one_line():
    for name in ("a\nb", "", " ", "\x1b[2J", "x" * 1001):
        with pytest.raises(SettingsError, match=r"dataset_classes.birds.0: expected one line"):
            load_settings({"concepts": {"dataset_classes": {"birds": [name]}}})
    load_settings({"concepts": {"dataset_classes": {"birds": ["001.Black footed (é)"]}}})


def test_the_schema_is_valid_and_accepts_every_file_of_settings():
    schema = json.loads(json_schema())
    Draft202012Validator.check_schema(schema)
    check = Draft202012Validator(schema)
    for file in (ROOT / "config.yaml", *PRESETS):
        check.validate(yaml.safe_load(file.read_text()))
    for wrong in ({"orders": {"seeds": "one"}}, {"jobs": "none"}, {"no_such_key": 1}):
        assert not check.is_valid(wrong)


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
