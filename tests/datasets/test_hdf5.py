"""HDF5 may show the content of other files, if they are complete and in the same folder."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kc.comparison import read_arrays
from kc.datasets.hdf5 import files_of, read_hdf5
from kc.errors import FeatureError

h5py = pytest.importorskip("h5py")

X = np.arange(40.0, dtype=np.float32).reshape(10, 4)
SHAPE = X.shape
Make = Callable[[Any], None]


def write(path: Path, **arrays: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return path


def virtual(path: Path, *sources: tuple[str, str], name: str = "x", rows: int = 10) -> Path:
    """Write an array whose rows are split evenly among sources."""
    layout = h5py.VirtualLayout((rows, 4), "f4")
    each = 10 // len(sources)
    for k, (file, inner) in enumerate(sources):
        part = slice(k * each, (k + 1) * each)
        layout[part] = h5py.VirtualSource(file, inner, SHAPE)[part]
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset(name, layout)
    return path


def test_a_virtual_array_in_one_folder_is_read_and_all_its_files_are_listed(tmp_path):
    part, below = write(tmp_path / "part.h5", d=X), write(tmp_path / "sub/below.h5", **{"g/d": X})
    path = virtual(tmp_path / "v.h5", ("part.h5", "d"), ("sub/below.h5", "g/d"))
    np.testing.assert_array_equal(read_hdf5(path).arrays["x"][:], X)
    assert files_of(path) == [path, part, below]
    # an absolute path from before the folder was moved, and a source in the same file
    path = virtual(tmp_path / "w.h5", (str(part), "d"), ("/gone/part.h5", "d"))
    with h5py.File(path, "a") as file:
        file["own"] = X
    virtual(path, (".", "/own"), name="same")
    found = read_hdf5(path)
    for name in ("x", "same"):
        np.testing.assert_array_equal(found.arrays[name][:], X)
    assert found.files == (path, part)
    # a virtual array of a virtual array: all three files count
    top = virtual(tmp_path / "top.h5", ("w.h5", "x"))
    np.testing.assert_array_equal(read_hdf5(top).arrays["x"][:], X)
    assert files_of(top) == [top, tmp_path / "w.h5", part]
    assert read_arrays(str(top)).files == (top, tmp_path / "w.h5", part)
    assert files_of(write(tmp_path / "plain.h5", x=X)) == [tmp_path / "plain.h5"]


def test_the_parts_of_a_linked_file_are_next_to_its_target(tmp_path, monkeypatch):
    write(tmp_path / "real/part.h5", d=X)
    virtual(tmp_path / "real/v.h5", ("part.h5", "d"))
    (tmp_path / "v.h5").symlink_to("real/v.h5")
    # files of this name next to the link, or in the working directory, are other files
    write(tmp_path / "part.h5", d=-X)
    monkeypatch.chdir(tmp_path)
    found = read_hdf5(Path("v.h5"))
    np.testing.assert_array_equal(found.arrays["x"][:], X)
    assert found.files == (Path("v.h5"), tmp_path / "real/part.h5")


def external(file: Any, secret: Path) -> None:
    file.create_dataset("x", SHAPE, "u1", external=[(str(secret), 0, 40)])


def external_below(file: Any, secret: Path) -> None:
    file.create_group("deep").create_dataset("x", SHAPE, "u1", external=[(secret.name, 0, 40)])


def linked(file: Any, secret: Path) -> None:
    file["x"] = h5py.ExternalLink(str(secret), "/d")


def linked_below(file: Any, secret: Path) -> None:
    file.create_group("deep")["x"] = h5py.ExternalLink("secret.h5", "/d")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (external, r"'x' is stored in the file '.*secret\.h5'; refused"),
        (external_below, r"'deep/x' is stored in the file 'secret\.h5'; refused"),
        (linked, r"'x' is a link into another file, '.*secret\.h5', which kc does not follow"),
        (linked_below, r"'deep/x' is a link into another file, 'secret\.h5'"),
    ],
)
def test_content_of_other_files_is_refused_by_name(tmp_path, make, told):
    """Another array of the same file can be read by its name."""
    secret = write(tmp_path / "secret.h5", d=X)
    path = write(tmp_path / "given/x.h5", good=X)
    with h5py.File(path, "a") as file:
        make(file, secret)
        names = [name for name in ("x", "deep/x") if name in file or "deep" in file]
    for only in (None, names[-1]):
        with pytest.raises(FeatureError, match=rf"x\.h5: {told}.*Fix: copy the array into the"):
            read_hdf5(path, only)
    np.testing.assert_array_equal(read_hdf5(path, "good").arrays["good"][:], X)
    assert list(read_arrays(f"{path}:good").layers) == ["good"]


def test_arrays_behind_external_links_are_refused(tmp_path):
    write(tmp_path / "secret.h5", **{"g/d": X})
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["way"] = h5py.ExternalLink("secret.h5", "/g")
        file["soft"] = h5py.SoftLink("/way/d")
        file["good"] = X
    with pytest.raises(FeatureError, match=r"'way' is a link into another file"):
        read_arrays(f"{tmp_path}/x.h5:way/d")
    with pytest.raises(FeatureError, match=r"'soft' links into another file, 'secret\.h5', which"):
        read_arrays(f"{tmp_path}/x.h5:soft")


def test_links_within_the_file_are_followed(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["g/d"] = X
        file["g/beside"] = h5py.SoftLink("d")
        file["twice"] = h5py.SoftLink("/way/beside")
        file["way"] = h5py.SoftLink("/g")
        file["hard"] = file["g/d"]
        file["lost"] = h5py.SoftLink("/nowhere")
        file["ring"] = h5py.SoftLink("/ring")
    for name in ("g/d", "/g/d", "g/beside", "twice", "way/d", "hard"):
        found = read_arrays(f"{tmp_path}/x.h5:{name}")
        assert list(found.layers) == [name.strip("/").replace("/", ".")]
        np.testing.assert_array_equal(found.arrays[name.strip("/").replace("/", ".")][:], X)
    assert list(read_arrays(f"{tmp_path}/x.h5").layers) == ["g.d"]
    for name in ("lost", "ring", "way", "g/d/e"):
        with pytest.raises(FeatureError, match=rf"no array '{name}' in it; there are g/d\. Fix"):
            read_arrays(f"{tmp_path}/x.h5:{name}")


def test_parts_in_other_folders_are_refused(tmp_path, monkeypatch):
    secret = write(tmp_path / "secret.h5", d=X)
    folder = tmp_path / "given"
    for name, source in (("up.h5", "../secret.h5"), ("whole.h5", str(secret))):
        path = virtual(folder / name, (source, "d"))
        with pytest.raises(FeatureError, match=rf"{name}: 'x' has a source outside .*secret"):
            read_hdf5(path)
    (folder / "link.h5").symlink_to(secret)
    path = virtual(folder / "by-link.h5", ("link.h5", "d"))
    with pytest.raises(FeatureError, match=r"by-link\.h5: 'x' has a source outside .*'link\.h5'"):
        read_hdf5(path)
    # HDF5 itself would also search the working directory
    monkeypatch.chdir(tmp_path)
    path = virtual(folder / "here.h5", ("secret.h5", "d"))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"][:], X)
    with pytest.raises(FeatureError, match=r"here\.h5: 'x' has a source that is missing, 'secret"):
        read_hdf5(path)
    write(folder / "secret.h5", d=X)
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(tmp_path))
    with pytest.raises(FeatureError, match="HDF5_VDS_PREFIX is set, which changes its sources"):
        read_hdf5(path)
    # one level deeper: the part shows a file in another folder
    monkeypatch.delenv("HDF5_VDS_PREFIX")
    with h5py.File(folder / "part.h5", "w") as file:
        external(file, secret)
        file["way"] = h5py.ExternalLink("../secret.h5", "/")
        file["soft"] = h5py.SoftLink("/way/d")
    for inner, told in (
        ("x", r"part\.h5, 'x' is stored in the file '.*secret\.h5'"),
        ("way/d", r"'x' has a source, 'part\.h5', without an array 'way/d'"),
        ("soft", r"'x' has a source, 'part\.h5', without an array 'soft'"),
    ):
        path = virtual(folder / f"over-{inner[:3]}.h5", ("part.h5", inner))
        with pytest.raises(FeatureError, match=told):
            read_hdf5(path)


def test_missing_parts_are_not_read_as_zeros(tmp_path):
    write(tmp_path / "part.h5", d=X, short=X[:7])
    (tmp_path / "text.h5").write_text("no HDF5")
    for number, (sources, told) in enumerate(
        [
            ([("part.h5", "d"), ("gone.h5", "d")], r"'x' has a source that is missing, 'gone\.h5'"),
            ([("/a/b/gone.h5", "d")], r"has a source that is missing, '/a/b/gone\.h5'"),
            ([("part.h5", "none")], r"has a source, 'part\.h5', without an array 'none'"),
            ([("part.h5", "short")], r"has a source that is too short, 'part\.h5': \(7, 4\)"),
            ([("text.h5", "d")], r"has a source that is not HDF5, 'text\.h5'"),
            (
                [("v6.h5", "x")],
                r"'x' is nested more than 8 virtual data sets deep, or its own source",
            ),
        ],
        1,
    ):
        path = virtual(tmp_path / f"v{number}.h5", *sources)
        with pytest.raises(FeatureError, match=rf"v{number}\.h5: .*{told}"):
            read_hdf5(path)
    # rows without a source
    with pytest.raises(FeatureError, match=r"is virtual, and 8 of its values have no source"):
        read_hdf5(virtual(tmp_path / "v.h5", ("part.h5", "d"), rows=12))
    many = h5py.h5s.UNLIMITED
    grows = h5py.h5s.create_simple(SHAPE, (many, 4))
    grows.select_hyperslab((0, 0), (many, 1), (1, 4), (1, 4))
    row = h5py.h5s.create_simple((1, 4))
    for name, source, told in (
        (b"part.h5", grows, r"has an unlimited source, 'part\.h5'"),
        (b"part-%b.h5", row, r"names its sources by a pattern, 'part-%b\.h5' 'd'"),
    ):
        about = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        about.set_virtual(grows, name, b"d", source)
        with h5py.File(tmp_path / "u.h5", "w") as file:
            h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, grows, about)
        with pytest.raises(FeatureError, match=told):
            read_hdf5(tmp_path / "u.h5")


def test_arrays_of_types_that_numpy_lacks_are_skipped(tmp_path):
    path = write(tmp_path / "x.h5", good=X, empty=h5py.Empty("f4"))
    with h5py.File(path, "a") as file:
        space = h5py.h5s.create_simple((10, 4))
        h5py.h5d.create(file.id, b"time", h5py.h5t.UNIX_D32LE, space)
    assert list(read_arrays(str(path)).layers) == ["good"]


def test_damaged_files_end_in_one_error(tmp_path, monkeypatch):
    """Change bytes at random: the file is read, or refused as unreadable HDF5."""
    path = tmp_path / "x.h5"
    data = bytearray(write(path, x=X, **{"g/y": X}).read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = data.copy()
        broken[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        path.write_bytes(broken)
        try:
            assert set(read_hdf5(path).arrays) <= {"x", "g/y"}
        except FeatureError as error:
            assert "not readable as HDF5" in str(error)  # noqa: PT017, either will do
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FeatureError, match="reading HDF5 needs h5py, which is not installed"):
        files_of(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads all")
def test_a_file_without_read_permission_is_refused(tmp_path):
    path = write(tmp_path / "x.h5", x=X)
    path.chmod(0)
    with pytest.raises(FeatureError, match=r"not readable as HDF5 \(.*[Pp]ermission"):
        read_hdf5(path)
