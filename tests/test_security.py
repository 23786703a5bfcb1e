"""Files of others are data: kc never runs their content, and its own files hold no code."""

import ast
import io
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kc.comparison.arrays import read_arrays
from kc.comparison.networks import read_network
from kc.errors import ImageError, KCError, NetworkError
from kc.images import build_image_store
from kc.networks import build
from kc.networks.pretrained import load_pretrained
from kc.networks.state import read_state
from kc.settings.dataset import Dataset
from kc.settings.recipes import Network

ROOT = Path(__file__).parents[1]
SOURCES = [
    ROOT / "Snakefile",
    *sorted(path for folder in ("kc", "workflow") for path in (ROOT / folder).rglob("*.py")),
    *sorted((ROOT / "workflow").rglob("*.smk")),
]
MODULES = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_YAML = {"load", "load_all", "unsafe_load", "full_load"}
STARTED = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


def spelled(node):
    """Return the dotted name of a call, such as ``torch.load``."""
    if isinstance(node, ast.Attribute):
        return f"{spelled(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_true(call, name, value=True):
    return any(
        k.arg == name and isinstance(k.value, ast.Constant) and k.value.value is value
        for k in call.keywords
    )


def fault_of(node):
    """Return what is unsafe about a syntax node; empty if nothing."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    if found := {name.split(".")[0] for name in names} & MODULES:
        return f"imports {found.pop()}"
    if not isinstance(node, ast.Call):
        return ""
    name = spelled(node.func)
    if name in CALLS or name in STARTED:
        return f"calls {name}"
    if name.endswith("torch.load") and not is_true(node, "weights_only"):
        return "torch.load without weights_only=True"
    if is_true(node, "allow_pickle"):
        return f"{name} with allow_pickle=True"
    if is_true(node, "shell"):
        return f"{name} with shell=True"
    if name.endswith("Image.open") and all(k.arg != "formats" for k in node.keywords):
        return "Image.open without a list of formats"
    if name.endswith("loadmat"):
        return "loadmat, which a damaged file crashes"
    if name.startswith("yaml.") and name.removeprefix("yaml.") in UNSAFE_YAML:
        return f"calls {name}"
    if "pickle" in name or name.endswith("extractall"):
        return f"calls {name}"
    return ""


def parsed(path):
    """Parse a file; of the blocks of Snakemake, parse each Python line separately."""
    text = path.read_text()
    if path.suffix == ".py":
        return [ast.parse(text)]
    found = []
    for line in text.splitlines():
        try:
            found.append(ast.parse(line.strip().rstrip(",")))
        except SyntaxError:
            continue
    return found


CRASHES = {"kc/datasets/mat_child.py": ["loadmat, which a damaged file crashes"]}
"""Code that starts a separate process."""


def faults(trees):
    return [fault for tree in trees for node in ast.walk(tree) if (fault := fault_of(node))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_of_kc_can_run_the_content_of_a_file(path):
    assert faults(parsed(path)) == CRASHES.get(str(path.relative_to(ROOT)), [])


def test_there_are_files_to_check():
    assert len(SOURCES) > 150
    assert sum(len(parsed(path)) for path in SOURCES if path.suffix != ".py") > 100


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "import dill as d", "eval(text)"),
        *("torch.load(file)", "torch.load(file, weights_only=False)", "yaml.load(text)"),
        *("np.load(file, allow_pickle=True)", "subprocess.run(command, shell=True)"),
        *("pd.read_pickle(file)", "os.system(command)", "exec(code)", "tar.extractall(folder)"),
        *("Image.open(file)", "PIL.Image.open(file, 'r')", "scipy.io.loadmat(file)"),
    ],
)
def test_unsafe_code_is_detected(line):
    assert faults([ast.parse(line)])


@pytest.mark.parametrize(
    "line",
    [
        *("torch.load(file, map_location='cpu', weights_only=True)", "yaml.safe_load(text)"),
        *("np.load(file, allow_pickle=False)", "model.eval()", "re.compile(text)"),
    ],
)
def test_safe_code_is_accepted(line):
    assert not faults([ast.parse(line)])


def test_rules_run_only_scripts_of_kc_and_no_shell():
    rules = [path for path in SOURCES if path.suffix != ".py"]
    assert len(rules) > 5
    for path in rules:
        for word in ("shell:", "run:", "pickle", "torch.load", "eval(", "exec(", "shell="):
            assert word not in path.read_text(), path


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


@pytest.fixture
def mark(tmp_path):
    """Return the file that exists if code was run, as unpickling would."""
    pickle.loads(pickle.dumps(Harmful(tmp_path / "works")))
    assert (tmp_path / "works").exists()
    return tmp_path / "ran"


def payloads(folder, mark):
    """Write harmful files with the usual names of weights."""
    raw = folder / "raw.pth"
    raw.write_bytes(pickle.dumps({"state_dict": Harmful(mark)}))
    saved, old = folder / "saved.pt", folder / "old.th"
    torch.save({"conv1.weight": torch.zeros(1), "more": Harmful(mark)}, saved)
    torch.save({"w": Harmful(mark)}, old, _use_new_zipfile_serialization=False)
    named = folder / "named.safetensors"
    named.write_bytes(raw.read_bytes())
    array = folder / "array.npy"
    np.save(array, np.array([Harmful(mark)], dtype=object), allow_pickle=True)
    return [raw, saved, old, named, array]


def test_harmful_weights_are_refused_and_not_run(tmp_path, mark):
    for file in payloads(tmp_path, mark):
        with pytest.raises(NetworkError, match=rf"{file.name}: not readable as weights"):
            read_state(file)
        with pytest.raises(NetworkError, match=rf"{file.name}: not readable as weights"):
            load_pretrained(build("resnet18", 3, Network(), seed=0), "resnet18", file)
    assert not mark.exists()


def test_harmful_features_are_refused_and_not_run(tmp_path, mark):
    for file in payloads(tmp_path, mark):
        if file.suffix != ".th":  # not features
            with pytest.raises(KCError, match=rf"{file.name}: not readable as"):
                read_arrays(str(file))
    assert not mark.exists()


def test_a_harmful_picture_and_list_are_refused_and_not_run(tmp_path, mark):
    folder = tmp_path / "pictures"
    for name in ("train/owl/a.jpg", "train/owl/b.jpg", "test/owl/c.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20)).save(path)
    (folder / "train/owl/b.jpg").write_bytes(pickle.dumps(Harmful(mark)))
    dataset = Dataset(layout="folder", archive=folder, size=16)
    with pytest.raises(ImageError, match=r"b\.jpg.*does not decode"):
        build_image_store(dataset, folder, tmp_path / "a.zarr", "key")
    dogs = tmp_path / "dogs"
    dogs.mkdir()
    with tarfile.open(dogs / "lists.tar", "w") as tar:
        data = pickle.dumps(Harmful(mark))
        member = tarfile.TarInfo("train_list.mat")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    with pytest.raises(ImageError, match=r"train_list\.mat"):
        build_image_store(Dataset(layout="dogs", archive=dogs), dogs, tmp_path / "b.zarr", "key")
    assert not mark.exists()


OWN = """
from pathlib import Path
from torch import nn

Path(__file__).with_name("ran").touch()


def net():
    return nn.Linear(2, 2)
"""


def test_a_users_file_is_run_when_it_is_named_and_only_then(tmp_path, mark):
    for name in ("net.py", "kc.py", "conftest.py", "sitecustomize.py", "torch.py"):
        (tmp_path / name).write_text(OWN)
    with pytest.raises(NetworkError, match="no network of"):
        read_network("net")
    for spec in ("resnet18", "vgg11"):
        read_network(spec, untrained=True)
    assert not mark.exists()
    read_network(f"{tmp_path / 'net.py'}:net")
    assert mark.exists()


def test_only_the_reader_of_named_networks_imports_from_files():
    loaders = ("spec_from_file_location", "SourceFileLoader", "runpy", "imp.load")
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in SOURCES}
    found = {name for name, text in sources.items() if any(each in text for each in loaders)}
    assert found == {"kc/comparison/networks.py"}


def test_modules_are_imported_only_by_names_of_kc():
    named = [
        (path.name, ast.unparse(node.args[0]))
        for path in SOURCES
        for tree in parsed(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and spelled(node.func).endswith(("import_module", "import_optional"))
    ]
    # modules and records of studies by name; the public names of kc
    of_study = {("study.py", "f'kc.studies.{name}'")}
    of_study.add(("registry.py", "f'{records.__name__}.{module.name}'"))
    public = ("__init__.py", "package")
    # of loading.py: timm, transformers and huggingface_hub, as the type of the argument says; of
    # parquet_files.py: pyarrow's modules, from a tuple
    optional = {("loading.py", "name"), ("parquet_files.py", "name"), ("optional.py", "module")}
    optional |= {("hdf5.py", "'h5py'"), ("place.py", "'obstore'"), ("download.py", "'requests'")}
    # readers and drawing code of data sets, from the table of kc.plans.layouts
    of_layout = {("build.py", "LAYOUTS[layout].reader"), ("build.py", "GENERATED")}
    of_layout.add(("generated.py", "drawn[layout]"))
    assert set(named) == {*optional, *of_layout, *of_study, public}


def test_the_command_line_does_not_import_from_the_working_directory(tmp_path, mark):
    for name in ("yaml.py", "torch.py", "typer.py", "numpy.py", "config.py"):
        (tmp_path / name).write_text(OWN)
    kc = Path(sys.executable).with_name("kc")
    done = subprocess.run([kc, "config", "schema"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
