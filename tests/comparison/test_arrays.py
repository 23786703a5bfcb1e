"""Features made outside kc: files, ids and rows, and what is refused."""

import re
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import zarr

from kc.comparison import CompareSettings, OwnArrays, compare, read_arrays, read_network
from kc.comparison.arrays import import_arrays
from kc.comparison.forms import Form
from kc.comparison.kinds import convert
from kc.errors import FeatureError, ImageError, StoreError
from kc.settings.feature_maps import Activations
from kc.settings.reconstruction import Consistency, Optimiser
from kc.store import open_store

SETTINGS = CompareSettings(
    size=16,
    activations=Activations(shard_rows=32, batch_size=8),
    consistency=Consistency(order=1, optimiser=Optimiser(epochs=2)),
)
ROWS = 200
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).astype(np.float32)
Y = X @ RNG.normal(size=(4, 6)).astype(np.float32)


def held_out(found):
    test = found.shares[found.shares["subset"] == "test"]
    return dict(zip(test["target"], test["xdelta"], strict=True))


def saved(path, values):
    np.save(path, values)
    return path


def of(path, ids=None):
    return read_arrays(str(path), ids)


def stored(spec, folder, memory_gb=4.0):
    """Return the arrays of a file as a comparison reads them, by layer."""
    side = read_arrays(str(spec))
    wanted = {name: [Form()] for name in side.layers}
    rows = pd.DataFrame({"image_id": [f"r{k}" for k in range(len(side))], "subset": "train"})
    consistency = SETTINGS.consistency.model_copy(update={"memory_gb": memory_gb})
    settings = SETTINGS.model_copy(update={"consistency": consistency})
    out = folder / "made" / "a.zarr"
    store = import_arrays(side, wanted, rows, np.arange(len(side))[::-1], settings, out)
    return {name: store[Form().array(name)][:][::-1] for name in side.layers}


def ids_in(path, names):
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def test_features_of_anything_are_compared_without_pictures(tmp_path):
    """Y is linear in X, not the other way round where noise is added to X's likeness."""
    first, second = saved(tmp_path / "x.npy", X), saved(tmp_path / "y.npy", Y)
    found = compare(of(first), of(second), out=tmp_path / "out", settings=SETTINGS)
    assert max(held_out(found).values()) < 0.001
    assert found.images is None
    assert found.components == {}
    assert "Rows: 120 train and 80 test." in found.notes
    noise = RNG.normal(size=Y.shape) * Y.std()
    third = saved(tmp_path / "noisy.npy", (Y + noise).astype(np.float32))
    noisy = compare(of(first), of(third), out=tmp_path / "noisy", settings=SETTINGS)
    assert held_out(noisy)["b"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.long
def test_all_file_formats_give_the_same_features(tmp_path):
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    group.create_array("layer", data=X)
    group.create_array("labels", data=np.arange(ROWS))  # no feature
    zarr.create_array(tmp_path / "alone.zarr", data=X)
    files = [saved(tmp_path / "x.npy", X), tmp_path / "x.zarr", tmp_path / "alone.zarr"]
    specs = [*map(str, files), f"{tmp_path}/x.zarr:layer"]
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["deep/layer"] = X
        file["names"] = np.array([b"one"])
    specs += [f"{tmp_path}/x.h5", f"{tmp_path}/x.h5:deep/layer"]
    right = of(saved(tmp_path / "y.npy", Y))
    rows = []
    for number, spec in enumerate(specs):
        side = read_arrays(spec)
        assert [layer.shape for layer in side.layers.values()] == [(4,)], spec
        out = tmp_path / f"out{number}"
        # in memory, and read row by row
        settings = SETTINGS.model_copy(
            update={"consistency": SETTINGS.consistency.model_copy(update={"memory_gb": 1e-9})}
        )
        compare(side, right, out=out, settings=settings if number % 2 else SETTINGS)
        store = open_store(out / "activations" / "a.zarr")
        assert store[store.names[0]].kc_dtype == "float32"
        rows.append(store[store.names[0]][:])
    for found in rows[1:]:
        np.testing.assert_array_equal(found, rows[0])
    # rows are shuffled once, and each belongs to its id
    ids = [int(name.removeprefix("row-")) for name in store.image_ids]
    assert ids != sorted(ids)
    np.testing.assert_array_equal(rows[0], X[ids])


def test_rows_are_matched_by_their_ids(tmp_path):
    names, order = [f"s{k}" for k in range(ROWS)], RNG.permutation(ROWS)
    a = of(saved(tmp_path / "x.npy", X), ids_in(tmp_path / "a.txt", names))
    shuffled = saved(tmp_path / "y.npy", Y[order])
    b = of(shuffled, ids_in(tmp_path / "b.txt", [names[k] for k in order]))
    found = compare(a, b, out=tmp_path / "out", settings=SETTINGS)
    assert max(held_out(found).values()) < 0.001
    # without ids, row i of one side is row i of the other
    blind = compare(of(tmp_path / "x.npy"), of(shuffled), out=tmp_path / "o", settings=SETTINGS)
    assert min(held_out(blind).values()) > 0.9


def test_rows_that_do_not_match_are_refused(tmp_path):
    x = saved(tmp_path / "x.npy", X)
    fewer = of(saved(tmp_path / "fewer.npy", Y[:-3]))
    with pytest.raises(FeatureError, match=r"x\.npy has 200 and fewer\.npy has 197 rows: row i of"):
        compare(of(x), fewer, out=tmp_path / "out", settings=SETTINGS)
    names = [f"s{k:03d}" for k in range(ROWS)]
    a = of(x, ids_in(tmp_path / "a.txt", names))
    b = of(x, ids_in(tmp_path / "b.txt", [*names[1:], "other"]))
    with pytest.raises(
        FeatureError,
        match=r"x\.npy: its images are not .*1 missing in it \(s000\); 1 only in it \(other\)",
    ):
        compare(a, b, out=tmp_path / "out", settings=SETTINGS)
    twice = of(x, ids_in(tmp_path / "t.txt", [*names[1:], names[1]]))
    with pytest.raises(FeatureError, match=r"id 's001' occurs twice"):
        compare(twice, twice, out=tmp_path / "out", settings=SETTINGS)
    with pytest.raises(FeatureError, match=r"short\.txt: 3 ids for the 200 rows of .*x\.npy"):
        of(x, ids_in(tmp_path / "short.txt", "abc"))
    few = of(saved(tmp_path / "few.npy", X[:9]))
    with pytest.raises(FeatureError, match=r"too few rows: 5 to fit g on and 4 to test it on; exp"):
        compare(few, few, out=tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out").exists()


def test_a_value_that_is_not_finite_names_its_row(tmp_path):
    broken = Y.copy()
    broken[17, 2] = np.nan
    a, b = of(saved(tmp_path / "x.npy", X)), of(saved(tmp_path / "y.npy", broken))
    with pytest.raises(FeatureError, match=r"'y' of image row-0000017 \(row \d+\) is not finite"):
        compare(a, b, out=tmp_path / "out", settings=SETTINGS)


def test_files_without_features_are_refused(tmp_path, monkeypatch):
    with pytest.raises(FeatureError, match=r"none\.npy: no such file; expected FILE\.npy, FILE\."):
        of(tmp_path / "none.npy")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY torn")
    with pytest.raises(FeatureError, match=r"torn\.npy: not readable as \.npy \(ValueError"):
        of(tmp_path / "torn.npy")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(FeatureError, match=r"objects\.npy: .*Python objects, which kc refuses to"):
        of(tmp_path / "objects.npy")
    for values, told in ((X[:, 0], r"float32 of shape \(200,\)"), (X > 0, r"bool of shape")):
        saved(tmp_path / "wrong.npy", values)
        with pytest.raises(FeatureError, match=rf"no features in it\. 'wrong' is {told}.*expected"):
            of(tmp_path / "wrong.npy")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(StoreError, match=r"empty\.zarr: not readable as zarr"):
        of(tmp_path / "empty.zarr")
    group = zarr.open_group(tmp_path / "two.zarr", mode="w")
    group.create_array("one", data=X)
    with pytest.raises(FeatureError, match=r"two\.zarr: no array 'other' in it; there are one"):
        of(f"{tmp_path}/two.zarr:other")
    group.create_array("two", data=Y[:-1])
    with pytest.raises(FeatureError, match=r"different numbers of rows \(one 200, two 199\)"):
        of(tmp_path / "two.zarr")
    (tmp_path / "torn.h5").write_bytes(b"torn")
    pytest.importorskip("h5py")
    with pytest.raises(FeatureError, match=r"torn\.h5: not readable as HDF5"):
        of(tmp_path / "torn.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FeatureError, match=r"HDF5 needs h5py, which is not installed\. Fix"):
        of(tmp_path / "torn.h5")


def header(path, shape, data=b""):
    """Write an .npy whose header declares more than the file holds."""
    with path.open("wb") as file:
        about = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(file, about)
        file.write(data)
    return path


def test_headers_that_declare_more_than_the_file_holds_are_refused(tmp_path):
    for number, shape in enumerate([(1 << 40, 4), (1 << 62, 4), (1 << 32, 1 << 32), (-1, 4)]):
        file = header(tmp_path / f"{number}.npy", shape, bytes(400))
        with pytest.raises(FeatureError, match=rf"{number}\.npy: not readable as \.npy"):
            of(file)
    for shape in ((1 << 40, 0), (5, 0, 7)):
        with pytest.raises(FeatureError, match=r"no features in it\. 'none' is float32 of shape"):
            of(header(tmp_path / "none.npy", shape, bytes(400)))
    np.savez(tmp_path / "x.npz", X)
    (tmp_path / "x.npz").rename(tmp_path / "several.npy")
    with pytest.raises(FeatureError, match=r"several\.npy: not readable as \.npy"):
        of(tmp_path / "several.npy")


def test_arrays_far_larger_than_their_files_are_refused(tmp_path):
    """The counter-example is as large, but complete: it is not refused."""
    h5py = pytest.importorskip("h5py")
    shape = (1 << 22, 4)
    zarr.create_array(tmp_path / "x.zarr", shape=shape, dtype="f4", chunks=(1 << 20, 4))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", shape, "f4")
    for name in ("x.zarr", "x.h5"):
        with pytest.raises(
            FeatureError,
            match=rf"{name}: 'x' of shape \(4194304, 4\) promises 67,108,864 bytes, but [\d,]+ are",
        ):
            of(tmp_path / name)
    with h5py.File(tmp_path / "there.h5", "w") as file:
        ones = np.ones(shape, np.float32)
        file.create_dataset("x", data=ones, chunks=(1 << 20, 4), compression="gzip")
    assert (tmp_path / "there.h5").stat().st_size < 200_000
    assert len(of(tmp_path / "there.h5")) == 1 << 22


def test_numbers_that_cannot_be_read_name_the_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", data=X, chunks=(50, 4), compression="gzip")
        chunk = data.id.get_chunk_info(1)
    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(50, 4))
    with (tmp_path / "x.h5").open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"damaged")
    (tmp_path / "x.zarr/c/1/0").write_bytes(b"damaged")
    right = of(saved(tmp_path / "y.npy", Y))
    by_row = SETTINGS.consistency.model_copy(update={"memory_gb": 1e-9})
    for number, (name, consistency) in enumerate(
        (name, each) for name in ("x.h5", "x.zarr") for each in (SETTINGS.consistency, by_row)
    ):
        settings = SETTINGS.model_copy(update={"consistency": consistency})
        with pytest.raises(FeatureError, match=rf"{name}: its numbers cannot be read \(\w+: .*Fix"):
            compare(of(tmp_path / name), right, out=tmp_path / f"o{number}", settings=settings)


def test_ids_are_read_from_text_with_one_on_each_line(tmp_path):
    x, file = saved(tmp_path / "x.npy", X[:3]), tmp_path / "ids.txt"
    for content in (b"a\nb\nc", b"a\r\nb\r\nc\r\n", b"\xef\xbb\xbfa\nb\nc\n"):
        file.write_bytes(content)
        assert of(x, file).ids.tolist() == ["a", "b", "c"]
    file.write_text("a\né b\nc\n")
    assert of(x, file).ids.tolist() == ["a", "é b", "c"]
    for content in ("a\né\nc\n".encode("latin-1"), "a\nb\nc\n".encode("utf-16"), b"\x80" * 9):
        file.write_bytes(content)
        with pytest.raises(
            FeatureError, match=r"ids\.txt: not readable as text in UTF-8 \(.*\)\. Fix"
        ):
            of(x, file)
    file.write_bytes("a\nb\nc\n".encode("utf-16"))
    with pytest.raises(FeatureError, match=r"Fix: save .* UTF-8, such as by iconv -f UTF-16 -t U"):
        of(x, file)
    for content in ("a\n\nc\n", "a\nb\n \n", "\n\n\n"):
        file.write_text(content)
        with pytest.raises(FeatureError, match=r"ids\.txt: line \d is empty; expected .* 3 lines"):
            of(x, file)
    for content in (b"a\nb\0\nc\n", b"a\n" + b"b" * 5000 + b"\nc\n"):
        file.write_bytes(content)
        with pytest.raises(FeatureError, match=r"ids\.txt: line 2 is no id: it has [\d,]+ charact"):
            of(x, file)
    with pytest.raises(FeatureError, match=r"none\.txt: no such file; expected one id a line"):
        of(x, tmp_path / "none.txt")


def test_one_of_several_arrays_must_be_named(tmp_path):
    a = OwnArrays("x.zarr", {"one": X, "two": Y}, tmp_path)
    with pytest.raises(
        FeatureError, match=r"a: x\.zarr holds 2 arrays \(one, two\); one must be n"
    ):
        compare(a, a, out=tmp_path / "out", settings=SETTINGS)
    with pytest.raises(FeatureError, match=r"x\.zarr: no array 'tow'; nearest: two"):
        compare(a, a, "tow", "one", out=tmp_path / "out", settings=SETTINGS)


def test_features_compared_with_a_network_need_the_ids_of_pictures(nets, photos, tmp_path):
    network = read_network(f"{nets}:tiny")
    values = saved(tmp_path / "x.npy", X[:60])
    with pytest.raises(ImageError, match=r"a network is compared, so pictures are needed\. Fix"):
        compare(network, of(values), "mean", out=tmp_path / "out", settings=SETTINGS)
    with pytest.raises(FeatureError, match=r"need the picture of each row\..*--ids-b FILE"):
        compare(network, of(values), "mean", None, photos, tmp_path / "out", SETTINGS)
    # the network's own features, as another program would save them
    found = compare(network, network, "mean", "mean", photos, tmp_path / "own", SETTINGS)
    store = open_store(tmp_path / "own" / "activations" / "a.zarr")
    order = RNG.permutation(60)
    saved(tmp_path / "own.npy", store["mean"][:][order])
    ids = ids_in(tmp_path / "ids.txt", store.image_ids[order])
    beside = of(tmp_path / "own.npy", ids)
    found = compare(network, beside, "mean", None, photos, tmp_path / "beside", SETTINGS)
    assert max(held_out(found).values()) < 0.01
    # a store of kc also holds ids and subsets
    again = compare(of(store.path), of(store.path), out=tmp_path / "stores", settings=SETTINGS)
    assert again.shares["images"].tolist() == [24, 36, 24, 36]


def test_two_stores_of_different_pictures_are_refused(nets, photos, tmp_path):
    network = read_network(f"{nets}:tiny")
    compare(network, network, "mean", "mean", photos, tmp_path / "one", SETTINGS)
    (photos / "07.png").rename(photos / "99.png")
    compare(network, network, "mean", "mean", photos, tmp_path / "two", SETTINGS)
    stores = [of(tmp_path / name / "activations" / "a.zarr") for name in ("one", "two")]
    with pytest.raises(
        FeatureError, match=r"1 missing in it \(07\.png\); 1 only in it \(99\.png\)"
    ):
        compare(*stores, out=tmp_path / "out", settings=SETTINGS)


def test_a_missing_chunk_is_refused(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(50, 4), dtype="f4")
    array[:] = X
    assert len(of(tmp_path / "x.zarr")) == ROWS
    (tmp_path / "x.zarr" / "c" / "2" / "0").unlink()
    with pytest.raises(FeatureError, match=r"1 of 4 chunks of 'x' are not there, .* read as 0"):
        of(tmp_path / "x.zarr")


def test_a_chunk_of_hdf5_that_was_never_written_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        whole = file.create_dataset("whole", X.shape, "f4", chunks=(50, 4))
        whole[:] = 0  # written, though all are the fill value
        holed = file.create_dataset("holed", X.shape, "f4", chunks=(50, 4))
        holed[:100] = X[:100]
    assert len(read_arrays(f"{tmp_path}/x.h5:whole")) == ROWS
    with pytest.raises(FeatureError, match=r"'holed' lacks 2 of its chunks, which would be"):
        read_arrays(f"{tmp_path}/x.h5:holed")


def test_two_arrays_of_one_name_are_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/b"], file["a.b"] = X, 2 * X
    with pytest.raises(FeatureError, match=r"two of its arrays would be called 'a\.b'"):
        of(tmp_path / "x.h5")
    assert len(read_arrays(f"{tmp_path}/x.h5:a/b")) == ROWS


def test_maps_with_channels_last_are_refused_unless_it_is_said(tmp_path):
    maps = RNG.normal(size=(ROWS, 4, 4, 3)).astype(np.float32)
    first = saved(tmp_path / "x.npy", maps)
    second = saved(tmp_path / "y.npy", maps.transpose(0, 3, 1, 2))
    with pytest.raises(FeatureError, match=r"'x' is 4 x 4 x 3, by its .*Fix: --layout-a nhwc if"):
        compare(of(first), of(second), out=tmp_path / "out", settings=SETTINGS)
    assert not (tmp_path / "out").exists()
    last = replace(of(first), layout="nhwc")
    found = compare(last, of(second), out=tmp_path / "out", settings=SETTINGS)
    stores = [open_store(tmp_path / "out" / "activations" / f"{side}.zarr") for side in "ab"]
    assert np.array_equal(stores[0]["x"][:], stores[1]["y"][:])
    assert "layer x (3 x 4 x 4); read as (y, x, channels)." in " ".join(found.notes)
    # as it is: four channels of 4 x 3
    assert replace(of(first), layout="nchw").layers["x"].shape == (4, 4, 3)


def test_rounding_that_counts_as_xdelta_gives_a_warning(tmp_path):
    first = saved(tmp_path / "x.npy", X.astype(np.float16))
    second = saved(tmp_path / "y.npy", (X + 1000).astype(np.float16))
    found = compare(of(first), of(second), out=tmp_path / "out", settings=SETTINGS)
    told = [note for note in found.notes if "float16" in note]
    assert len(told) == 1
    assert told[0].startswith("Warning: b's layer y is stored as float16, whose rounding makes")
    assert "save the features as float32" in told[0]
    assert held_out(found)["b"] > 0.01


def npy(path, values, **how):
    with path.open("wb") as file:
        np.lib.format.write_array(file, values, **how)
    return path


def test_all_number_types_and_layouts_are_read_as_the_same_numbers(tmp_path):
    whole = np.rint(10 * X)
    group = {number: tmp_path / f"{number}.zarr" for number in (2, 3)}
    for number, path in group.items():
        made = zarr.open_group(path, mode="w", zarr_format=number)
        made.create_array("deep/er/layer", data=whole.astype(">f4"), chunks=(30, 3))
    np.savez_compressed(tmp_path / "x.npz", **{"g/layer": whole, "label": np.arange(ROWS)})
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["deep/layer"] = whole.astype(">f8")
        file["soft"] = h5py.SoftLink("/deep/layer")
    (tmp_path / "X.NPY").write_bytes(npy(tmp_path / "x.npy", whole).read_bytes())
    specs = [npy(tmp_path / f"{kind}.npy", whole.astype(kind)) for kind in ("f2", "f4", "g", "i1")]
    specs += [npy(tmp_path / f"b{k}.npy", whole.astype(k)) for k in (">f2", ">f4", ">f8", ">i2")]
    specs += [npy(tmp_path / f"v{n}.npy", whole, version=(n, 0)) for n in (1, 2, 3)]
    specs += [npy(tmp_path / "fortran.npy", np.asfortranarray(whole)), tmp_path / "X.NPY"]
    specs += [tmp_path / "x.npz", f"{tmp_path}/x.npz:g/layer", tmp_path / "x.h5"]
    specs += [f"{tmp_path}/x.h5:soft", f"{tmp_path}/x.h5:/deep/layer", *group.values()]
    specs += [f"{group[2]}:deep/er/layer", f"{group[3]}/"]
    for spec in specs:
        (found,) = read_arrays(str(spec)).arrays.values()
        values = np.asarray(found[:], np.float64)
        np.testing.assert_allclose(values, whole, rtol=1e-6, err_msg=str(spec))
    # as they are stored, row by row: the big-endian half, the zip, zarr, HDF5
    for number, spec in enumerate([tmp_path / "b>f2.npy", *specs[-8::3]]):
        (values,) = stored(spec, tmp_path / str(number), memory_gb=1e-9).values()
        np.testing.assert_allclose(values, whole, rtol=1e-6, err_msg=str(spec))


def test_the_name_of_a_layer_does_not_change_its_features(tmp_path):
    """Names of coordinates, of the store's files, and names that no folder can have."""
    names = ["subset", "image_id", "label", "zarr.json", "..", "", "a\\b", "x@pool", "n" * 300]
    values = {name: X + number for number, name in enumerate([*names, "x", "N" * 300, "é\n$"])}
    side = OwnArrays("x", values, saved(tmp_path / "x.npy", X))
    wanted = {name: [Form()] for name in values}
    rows = pd.DataFrame({"image_id": [f"r{k}" for k in range(ROWS)], "subset": "train"})
    store = import_arrays(side, wanted, rows, np.arange(ROWS), SETTINGS, tmp_path / "a.zarr")
    for name, expected in values.items():
        np.testing.assert_array_equal(store[Form().array(name)][:], expected)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (X + 1j, r"complex64 of shape .* Fix: numpy\.concatenate\(\[array\.real"),
        (X > 0, r"bool of shape .* Fix: array\.astype\('float32'\)"),
        (X[:, 0], r"float32 of shape \(200,\); .* Fix: array\[:, None\]"),
        (X[0, 0], r"float32 of shape \(\); .* Fix: save features of at least one unit"),
        (X[:, :0], r"float32 of shape \(200, 0\); .* Fix: save features of at least one unit"),
        (
            X[:, :, None, None, None],
            r"float32 of shape .* Fix: array\.reshape\(len\(array\), -1\)",
        ),
        (np.array([["a"]] * ROWS), r"<U1 of shape .* Fix: save numbers"),
        (np.zeros((ROWS, 2), [("a", "f4")]), r"\[\('a', '<f4'\)\] of shape .* Fix: save numbers"),
    ],
)
def test_an_array_that_is_not_a_feature_is_refused_with_a_fix(tmp_path, values, told):
    saved(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", x=values)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(FeatureError, match=rf"{name}: no features in it\. 'x' is {told}"):
            of(tmp_path / name)


def test_an_invalid_npz_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", X)
    whole = (tmp_path / "x.npz").read_bytes()
    np.savez(tmp_path / "objects.npz", np.array([[{}]], object))
    with pytest.raises(FeatureError, match=r"objects\.npz: no features in it\. 'arr_0' is object"):
        of(tmp_path / "objects.npz")
    for name, content in (("cut", whole[:-30]), ("none", b""), ("text", b"text" * 99)):
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(FeatureError, match=rf"{name}\.npz: not readable as \.npz \(BadZipFile"):
            of(tmp_path / f"{name}.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(
        FeatureError, match=r"flipped\.npz: .*(cannot be read|not readable as) .*CRC"
    ):
        stored(tmp_path / "flipped.npz", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "fix"),
    [
        ("x.ckpt", b"PK\3\4", r"if it holds weights, name .*; if tensors of .*rename it to x\.pt"),
        ("x.txt", b"1,2", r"numpy\.save\('x\.npy', numpy\.loadtxt\('.*x\.txt', delimiter=','"),
        ("x.pq", b"PAR1", r"it is a Parquet file: rename it to x\.parquet"),
        (
            "x.mat",
            b"MATLAB",
            r"scipy\.io\.loadmat\('.*x\.mat'\)\['NAME'\]\); of version 7\.3: h5py",
        ),
        ("x.pkl", b"\x80", r"pickle\.load\(open\('.*x\.pkl', 'rb'\)\)\); kc runs no pickles"),
        ("x{0}.py", b"", r"name the function in it that gives the network, .*x\{0\}\.py:function"),
        ("x.zip", b"PK", r"unpack it; pictures may be packed"),
        ("x.png", b"", r"pictures are named with --images"),
        ("x.what", b"", r"numpy\.save\('x\.npy', array of numbers\)"),
        ("x.arr", b"\x93NUMPY", r"it is an array of numpy's: rename it to x\.npy"),
        ("x.nc", b"\x89HDF\r\n\x1a\n", r"it is HDF5: rename it to x\.h5"),
        ("folder/", b"", r"name a file; a folder of pictures is named with --images"),
        ("x.d/zarr.json", b"", r"it holds zarr: rename it to x\.d\.zarr"),
    ],
)
def test_a_file_of_another_format_is_refused_with_a_conversion(tmp_path, name, content, fix):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.mkdir() if name.endswith("/") else path.write_bytes(content)
    path = path.parent if name.endswith("zarr.json") else path
    told = (
        rf"{re.escape(str(path))}: a \w+, but of no kind that features are read from; .*FILE\.npz"
    )
    for read in (read_network, read_arrays):
        with pytest.raises(FeatureError, match=rf"{told}.*Fix: .*{fix}"):
            read(str(path))
    with pytest.raises(FeatureError, match=r"nothing\.csv: no such file; expected FILE\.npy, FILE"):
        read_arrays(f"{tmp_path}/nothing.csv")


def test_features_in_place_of_a_network_are_refused_with_the_reader(tmp_path):
    path = saved(tmp_path / "x.npy", X)
    with pytest.raises(FeatureError, match=r"x\.npy: a file of features, where .*kc\.read_arrays"):
        read_network(str(path))


def test_what_follows_the_first_suffix_and_a_colon_is_a_name_in_the_file(tmp_path):
    np.savez(tmp_path / "x.npz", **{"deep/layer.pt": X, "y": Y})
    assert list(read_arrays(f"{tmp_path}/x.npz:deep/layer.pt").layers) == ["deep.layer.pt"]


def test_a_zip_with_suffix_npy_is_refused_with_a_fix(tmp_path):
    np.savez(tmp_path / "x.npz", X)
    path = (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    assert convert(path) == "it is a zip, as numpy.savez writes: rename it to x.npz"
    with pytest.raises(FeatureError, match=r"x\.npy: not readable as .*rename it to x\.npz"):
        of(path)


def test_features_with_too_small_values_are_refused(tmp_path):
    small = of(saved(tmp_path / "x.npy", X * np.float32(1e-20)))
    right = of(saved(tmp_path / "y.npy", Y))
    with pytest.raises(
        FeatureError, match=r"constant .*standard deviation 1e-20.*; .* multiply the f"
    ):
        compare(small, right, out=tmp_path / "out", settings=SETTINGS)
