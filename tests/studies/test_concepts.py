"""Tables 2 and 3 of [C20] from hand-made maps, against the slow plain version."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from kc.cli.chain import chain
from kc.concepts.maps import Maps
from kc.concepts.samples import Measured
from kc.errors import StoreError
from kc.images import build_image_store, open_images
from kc.plans.concept_products import ConceptCell, concept_figures, concept_networks
from kc.settings.concepts import ROLES, Concepts, Role, TableNetworks
from kc.settings.load import load_settings
from kc.settings.whole import Settings
from kc.studies.claims import read_claims
from kc.studies.concepts.notes import (
    HYPOTHESES,
    accuracy_note,
    counting_notes,
    hypothesis_notes,
    interval_note,
    speed_notes,
    training_notes,
)
from kc.studies.concepts.numbers import (
    CLAIMS,
    concepts_table2,
    concepts_table3,
    differences,
    seeds_table,
)
from kc.studies.concepts.over_training import maps_figure, shown_ids
from kc.studies.concepts.printed import TABLE2, TABLE3, printed, printed_dataset
from kc.studies.concepts.views import LayerView, NetworkMaps, _check_images, layer_view
from kc.studies.intervals import over_groups
from tests.reference import plain_concepts as plain

EPOCHS, COUNT, GRID, B = (0, 2, 5, 9), 8, 16, 0.25
ABOUT = Concepts(architectures=("alexnet",), layers=("fc1",), seeds=(0,))
CELL = ConceptCell("objects", "alexnet", "fc1", "scratch")


def foreground() -> Tensor:
    return torch.rand(COUNT, GRID, GRID, generator=torch.Generator().manual_seed(5)) < 0.4


def random_maps(role: Role, sharper: float = 0.0, seed: int = 0) -> Maps:
    """Return maps of noise; ``sharper`` lowers the object's entropy at each checkpoint."""
    generator = torch.Generator().manual_seed(ROLES.index(role) + 10 * seed)
    H = torch.randn(len(EPOCHS), COUNT, GRID, GRID, generator=generator) * 0.3 - 2.8
    H -= sharper * foreground() * torch.arange(len(EPOCHS))[:, None, None, None]
    return Maps(EPOCHS, [f"i{n}" for n in range(COUNT)], H, "digest")


def history(role: Role) -> pd.DataFrame:
    epochs = np.arange(10)
    pace = {"teacher": 1.0, "student": 0.5, "baseline": 2.0}[role]
    return pd.DataFrame(
        {
            "epoch": epochs,
            "distance_all": pace * epochs,
            "distance_up_to_fc1": 2 * pace * epochs,
            "distance_fc1": 10 * pace * epochs,
        }
    )


def view_of(maps: dict[Role, Maps], about: Concepts = ABOUT, seed: int = 0) -> LayerView:
    measured = Measured(np.arange(COUNT), maps["teacher"].ids, foreground())
    read = {role: NetworkMaps(found, history(role)) for role, found in maps.items()}
    return layer_view(about, CELL, seed, measured, read)


@pytest.fixture
def maps() -> dict[Role, Maps]:
    return {role: random_maps(role) for role in ROLES}


def plain_counts(H: Tensor, front: Tensor) -> tuple[list[int], list[int], list[float]]:
    return plain.counts(H.double().numpy(), front.numpy(), B, "image")


def plain_sets(H: Tensor, front: Tensor) -> list[list[set[tuple[int, int]]]]:
    """Compute the concept cells on the object cell by cell, by checkpoint and image."""
    found = []
    for epoch in H.double().numpy():
        sets = []
        for h, inside in zip(epoch, front.numpy(), strict=True):
            bar = h[~inside].mean()
            sets.append({i for i in np.ndindex(h.shape) if inside[i] and bar - h[i] > B})
        found.append(sets)
    return found


def test_table2_counts_at_the_last_checkpoint(maps: dict[Role, Maps]):
    frame = concepts_table2([view_of(maps)])
    assert frame["role"].tolist() == ["T", "S", "B"]
    for role, (_, row) in zip(ROLES, frame.iterrows(), strict=True):
        fg, bg, ratio = plain_counts(maps[role].H[-1], foreground())
        assert row["n_fg"] == pytest.approx(np.mean(fg))
        assert row["n_bg"] == pytest.approx(np.mean(bg))
        assert row["lambda_ratio"] == pytest.approx(np.mean(ratio))
        assert row["n_fg_low"] < row["n_fg"] < row["n_fg_high"]
        assert row["n_images"] == COUNT
    needed = {"dataset", "network", "layer", "role", "n_fg", "lambda_ratio", "n_images"}
    ends = {f"{n}_{e}" for n in ("n_fg", "lambda_ratio") for e in ("low", "high")}
    assert needed | ends | {"paper_n_fg", "paper_lambda_ratio"} <= set(frame.columns)


def test_table3_equals_the_plain_version(maps: dict[Role, Maps]):
    frame = concepts_table3([view_of(maps)])
    assert frame["role"].tolist() == ["S", "B"]
    for role, (_, row) in zip(("student", "baseline"), frame.iterrows(), strict=True):
        H = maps[role].H
        n_fg = [plain_counts(h, foreground())[0] for h in H]
        richest = plain.richest(n_fg, list(EPOCHS))
        way = history(role).set_index("epoch")
        for tail, name in (("", "all"), ("_up_to", "up_to_fc1"), ("_released", "fc1")):
            gone = way.loc[[EPOCHS[k] for k in richest], f"distance_{name}"].to_numpy(float)
            assert row[f"d_mean{tail}"] == pytest.approx(gone.mean())
            assert row[f"d_std{tail}"] == pytest.approx(gone.var())
        # the pace of a network has no part in it
        assert row["d_ratio"] == pytest.approx(np.mean([EPOCHS[k] for k in richest]) / EPOCHS[-1])
        rho = plain.kept(plain_sets(H[1:], foreground()))
        assert row["rho"] == pytest.approx(np.nanmean(rho))
        assert row["n_rho"] == COUNT
        late = plain.selected(H[3:].double().numpy(), foreground().numpy())
        assert row["dropped"] == pytest.approx(1 - np.mean(late))
    assert {"d_ratio_low", "d_ratio_high"} <= set(frame.columns)
    for name in ("n_fg", "n_bg", "lambda_ratio", "d_mean", "d_std", "rho"):
        assert {name, f"{name}_low", f"{name}_high", f"paper_{name}"} <= set(frame.columns)


def test_nothing_dropped_is_no_detour(maps: dict[Role, Maps]):
    held = maps["student"].H[-1:].expand(len(EPOCHS), -1, -1, -1).clone()
    still = maps | {"student": maps["student"]._replace(H=held)}
    frame = concepts_table3([view_of(still)])
    assert frame["rho"].iloc[0] == 1
    assert frame["rho"].iloc[1] < 1
    assert frame["d_mean"].iloc[0] == 0.5 * EPOCHS[1]  # for ties the earliest after epoch 0
    assert frame["d_std"].iloc[0] == 0


def test_an_image_without_a_map_somewhere_is_left_out_everywhere(maps: dict[Role, Maps]):
    torn = {role: found._replace(H=found.H.clone()) for role, found in maps.items()}
    torn["baseline"].H[2, 3] = torch.nan
    torn["teacher"].H[0, 4] = torch.nan  # before training: ignored
    view = view_of(torn)
    assert view.unusable == 1
    assert view.measured.ids == [f"i{n}" for n in range(COUNT) if n != 3]
    for frame in (concepts_table2([view]), concepts_table3([view])):
        assert set(frame["n_images"]) == {COUNT - 1}
    rest = [n for n in range(COUNT) if n != 3]
    sets = plain_sets(maps["student"].H[1:, rest], foreground()[rest])
    rho = concepts_table3([view])["rho"].iloc[0]
    assert rho == pytest.approx(np.nanmean(plain.kept(sets)))


def test_the_released_selection_is_off_unless_asked_for(maps: dict[Role, Maps]):
    off = view_of(maps)
    on = view_of(maps, ABOUT.model_copy(update={"effective": True}))
    chosen = [
        all(keep)
        for keep in zip(
            *(plain.selected(maps[r].H[3:].double().numpy(), foreground().numpy()) for r in ROLES),
            strict=True,
        )
    ]
    assert 0 < sum(chosen) < COUNT
    assert on.measured.ids == [f"i{n}" for n in range(COUNT) if chosen[n]]
    assert len(off.measured.ids) == COUNT
    assert on.dropped == off.dropped


def settings_of(about: Concepts, **networks: object) -> Settings:
    return load_settings(
        {
            "datasets": {"objects": {"layout": "voc", "crop": 1.2, "box_foreground": True}},
            "networks": networks,
            "concepts": about.model_dump(),
        }
    )


def test_the_share_the_released_selection_would_drop_is_printed(maps: dict[Role, Maps]):
    def note(found: LayerView, about: Concepts = ABOUT) -> str:
        (one,) = (n for n in counting_notes(settings_of(about), [found]) if "would drop" in n)
        return one

    view = view_of(maps)
    shares = sorted(f"{share:.0%}" for share in view.dropped.values())
    assert len(set(shares)) > 1
    low, high = min(view.dropped.values()), max(view.dropped.values())
    assert 0 < low < high <= 1
    assert f"It would drop {low:.0%} to {high:.0%} of the images" in note(view)
    assert "not used here" in note(view)  # the default
    asked = ABOUT.model_copy(update={"effective": True})
    assert "; used here" in note(view_of(maps, asked), asked)
    clear = {role: random_maps(role, sharper=1.0) for role in ROLES}  # never below the object's
    assert "It would drop 0% to 0% of the images" in note(view_of(clear))


def test_accuracies_of_all_networks_are_in_a_note():
    cards = {
        f"d-alexnet-seed{seed}-teacher": {
            "seed": seed, "accuracy": {"test": 61.25 + seed, "train": 80.0}
        }
        for seed in (0, 3)
    }  # fmt: skip
    assert accuracy_note(cards) == (
        "Top-1 on test (training) images, %, by seed: d-alexnet-teacher 61.2/64.2 (80.0/80.0)."
    )


def test_notes_describe_the_foreground_and_the_first_weights_of_teachers(maps: dict[Role, Maps]):
    said = " ".join(counting_notes(settings_of(ABOUT), [view_of(maps)]))
    assert "objects: pictures cropped to 1.2 times the object's box" in said
    assert "the object's mask, else its box" in said
    scratch = " ".join(training_notes(settings_of(ABOUT), "table2"))
    assert "Teachers from scratch, as for the paper's Table 2; first rate 0.02" in scratch
    assert "fine-tuned" not in scratch
    about = ABOUT.model_copy(update={"table3": TableNetworks(teacher="pretrained")})
    ready = " ".join(training_notes(settings_of(about), "table3"))
    assert "as for the paper's Table 3; first rate 0.002" in ready
    assert "Teachers from scratch" not in ready
    assert "Teachers from scratch" in " ".join(training_notes(settings_of(about), "table2"))


def test_notes_say_whether_rates_allow_to_compare_distances():
    (equal, _) = speed_notes(settings_of(ABOUT))
    assert "Student and baseline learn at equal rates, but their losses differ" in equal
    assert "student as the baseline." in training_notes(settings_of(ABOUT), "table3")[0]
    lessons = {"distil_rates": {"alexnet": {"fc1": (0.1, 0.01)}}}
    about = Concepts.model_validate(ABOUT.model_dump() | {"training": lessons})
    (unequal, _) = speed_notes(settings_of(about))
    assert "Students with a rate of their own: alexnet fc1 0.1 to 0.01" in unequal
    assert "student alexnet fc1 0.1 to 0.01." in training_notes(settings_of(about), "table3")[0]


def test_differences_are_paired_and_keep_their_sign(maps: dict[Role, Maps]):
    better = maps | {"student": random_maps("student", sharper=0.2)}
    view = view_of(better)
    frame = concepts_table3([view]).set_index("role")
    found = {each.measure: each for each in differences([view])}
    assert set(found) == set(CLAIMS)
    for name, each in found.items():
        gap = frame.loc["S", name] - frame.loc["B", name]
        assert each.found.value == pytest.approx(gap, rel=1e-9, abs=1e-12)
        assert each.found.low < each.found.value < each.found.high
    assert found["n_fg"].sign == found["lambda_ratio"].sign == 1
    note = hypothesis_notes([view])[0]
    assert "as claimed in 1 of 1" in note
    swapped = better | {"student": better["baseline"], "baseline": better["student"]}
    other = {each.measure: each for each in differences([view_of(swapped)])}
    assert other["n_fg"].found.value == pytest.approx(-found["n_fg"].found.value)
    assert other["n_fg"].sign == -1
    assert "the opposite in 1" in hypothesis_notes([view_of(swapped)])[0]


def test_every_claim_is_answered_in_a_note():
    assert {measure for _, measures in HYPOTHESES for measure in measures} == set(CLAIMS)


def test_equal_networks_leave_the_claims_undecided(maps: dict[Role, Maps]):
    alike = maps | {"student": maps["baseline"]}
    found = differences([view_of(alike)])
    assert {each.sign for each in found if "d_" not in each.measure} == {0}


@pytest.fixture
def three() -> list[LayerView]:
    """Return the views of three seeds of one cell."""
    return [
        view_of({role: random_maps(role, seed=seed) for role in ROLES}, seed=seed)
        for seed in (0, 1, 5)
    ]


def test_with_three_seeds_intervals_are_over_seeds(three: list[LayerView]):
    still = three[1].seen["student"]  # of equal maps after epoch 0: rho 1
    still = still._replace(counts=(still.counts[0], *[still.counts[-1]] * 3))
    each = pd.concat([concepts_table3([view]) for view in three])
    frame = concepts_table3(three)
    assert len(frame) == 2
    assert set(frame["n_seeds"]) == {3}
    for _, row in frame.iterrows():
        own = each[each["role"] == row["role"]]
        for name in ("n_fg", "d_mean", "d_std", "d_ratio", "rho"):
            found = over_groups(["0", "1", "2"], own[name].tolist(), scale="log")
            ends = row[[name, f"{name}_low", f"{name}_high"]].tolist()
            assert ends == pytest.approx([found.mean, found.low, found.high])
            assert 0 < found.low < found.mean < found.high
    wide = [three[0], three[1]._replace(seen=three[1].seen | {"student": still}), three[2]]
    shares = concepts_table3(wide)
    assert shares["rho_high"].max() == 1  # a share ends there
    two = concepts_table2(three[:2])
    assert two["n_fg_low"].isna().all()
    assert not two["n_fg"].isna().any()


def test_claims_are_counted_by_the_interval_over_seeds(three: list[LayerView]):
    found = {each.measure: each.found for each in differences(three)}
    gaps = [differences([view])[0].found.value for view in three]
    plainly = over_groups(["0", "1", "2"], gaps)
    assert found["n_fg"][:3] == pytest.approx((plainly.mean, plainly.low, plainly.high))
    better = [
        view_of(
            {r: random_maps(r, sharper=0.2 * (r == "student"), seed=seed) for r in ROLES}, seed=seed
        )
        for seed in (0, 1, 5)
    ]
    assert "as claimed in 1 of 1" in hypothesis_notes(better)[0]
    assert "over 3 seeds" in interval_note(Concepts())
    assert "of one network" in interval_note(ABOUT)
    assert "too few for an interval" in interval_note(Concepts(seeds=(4, 5)))


def test_every_networks_values_are_listed_once(three: list[LayerView]):
    top1 = {CELL.network(role, seed).name: 50.0 + seed for role in ROLES for seed in (0, 1, 5)}
    frame = seeds_table([*three, *three], top1)
    assert frame[["seed", "role"]].to_numpy().tolist() == [
        [seed, letter] for seed in (0, 1, 5) for letter in "TSB"
    ]
    assert frame["top1"].tolist() == [50.0] * 3 + [51.0] * 3 + [55.0] * 3
    table = concepts_table3(three)
    for letter, row in zip("SB", table.itertuples(), strict=True):
        own = frame[frame["role"] == letter]
        assert own["d_ratio"].mean() == pytest.approx(row.d_ratio)
    assert frame.loc[frame["role"] == "T", "rho"].isna().all()


def test_shown_images_are_at_evenly_spaced_ranks_of_all_networks_concepts(three: list[LayerView]):
    total = sum(
        seen.n_fg[-1].numpy() for view in three for seen in view.seen.values()
    )  # by image, of nine networks
    order = np.argsort(total, kind="stable")
    assert len(set(total)) == COUNT
    assert shown_ids(three, 3) == [f"i{order[rank]}" for rank in (1, 4, 6)]
    assert shown_ids(three, 1) == [f"i{order[4]}"]
    assert sorted(shown_ids(three, 99)) == sorted(three[0].measured.ids)
    # the teacher alone would choose others
    teacher = three[0].seen["teacher"].n_fg[-1].argmax()
    assert shown_ids(three, 1) != [f"i{int(teacher)}"]


def test_the_union_of_concepts_is_drawn_with_its_rho(three: list[LayerView]):
    picture = np.zeros((3, 32, 32), np.uint8)
    figure = maps_figure(three[0], [picture, picture], [2, 5])
    told = [text.get_text() for axes in figure.axes for text in axes.texts]
    rho = [plain.kept(plain_sets(random_maps(role).H[1:], foreground())) for role in ROLES[1:]]
    assert told == [f"union\n$\\rho$ = {rho[k][n]:.2f}" for n in (2, 5) for k in (0, 1)]
    caption = figure.get_supxlabel().replace("\n", " ")
    assert "2 images at evenly spaced ranks" in caption


def test_a_student_has_the_baselines_maps_before_training(maps: dict[Role, Maps]):
    later = maps | {
        "student": maps["student"]._replace(epochs=EPOCHS[1:], H=maps["student"].H[1:]),
        "teacher": maps["teacher"]._replace(epochs=EPOCHS[-1:], H=maps["teacher"].H[-1:]),
    }
    view = view_of(later)
    student, baseline = view.seen["student"], view.seen["baseline"]
    assert student.epochs == EPOCHS
    assert torch.equal(student.H[0], baseline.H[0])
    whole = view_of(maps)
    ends = ["n_fg", "d_mean", "rho", "n_fg_low", "dropped"]
    pd.testing.assert_frame_equal(concepts_table3([view])[ends], concepts_table3([whole])[ends])
    pd.testing.assert_frame_equal(concepts_table2([view]), concepts_table2([whole]))


def test_maps_of_other_images_are_refused(maps: dict[Role, Maps]):
    measured = Measured(np.arange(2), ["a", "b"], foreground()[:2])
    with pytest.raises(StoreError, match=r"maps of 8 images that are not the 2 .*--force m.json"):
        _check_images(maps["teacher"], measured, Path("m"))


def test_printed_values_are_the_papers():
    folder = Path(os.environ.get("KC_SHARED", "")) / "expected"
    if "KC_SHARED" not in os.environ or not folder.is_dir():
        pytest.skip("KC_SHARED does not name a folder with expected/")
    for table, name in ((TABLE2, "cheng2020_table2"), (TABLE3, "cheng2020_table3")):
        frame = pd.read_csv(folder / f"{name}.csv").drop(columns="note", errors="ignore")
        keys = ["dataset", "network", "layer", "role"]
        assert len(frame) == len(table)
        for row in frame.to_dict("records"):
            cell = tuple(row.pop(key) for key in keys)
            assert dict(table[cell]) == row
    assert printed(TABLE3, ("objects", "vgg11", "fc1", "S"), "rho") == 0.56  # CUB's
    assert printed(TABLE3, ("det", "vgg11", "fc1", "S"), "rho") == 0.50
    assert math.isnan(printed(TABLE3, ("det", "vgg11", "fc3", "S"), "rho"))
    assert (printed_dataset("det"), printed_dataset("objects")) == ("det", "cub")


def test_the_study_writes_all_its_files(tmp_path: Path):
    from kc.concepts.maps import map_networks
    from kc.concepts.networks import Given, train_concept_networks
    from kc.studies.concepts.table import write

    settings = load_settings(
        {
            "results": tmp_path,
            "datasets": {
                "objects": {"layout": "voc", "generated": {"classes": 3, "images_per_class": 8}}
            },
            "networks": {"alexnet": {"width": 0.0625, "head_units": 16, "small_input": True}},
            "concepts": {
                "architectures": ["alexnet"],
                "layers": ["fc1"],
                "seeds": [0],
                "images": 3,
                "dataset_classes": {"objects": ["aeroplane", "cat"]},
                "training": {"epochs": 2, "checkpoints": [0, 1, 2], "above": {"epochs": 1}},
            },
        }
    )
    about, cpu = settings.concepts, torch.device("cpu")  # type: ignore[attr-defined]
    build_image_store(settings.datasets["objects"], None, tmp_path / "images/objects.zarr", "key")
    images = open_images(tmp_path / "images" / "objects.json")
    folder = tmp_path / "concepts"
    plans = concept_networks(about)
    given = Given(images, settings.network("alexnet"), about.lessons_of("objects"), about.layers)
    train_concept_networks(plans, given, folder / "networks", cpu)
    map_networks(plans, images, about, folder / "networks", folder / "maps", cpu)
    write(settings)
    for name in concept_figures(about):
        assert (tmp_path / "figures" / f"{name}.png").stat().st_size > 10_000
    for name in ("concepts_table2", "concepts_table3", "concepts_speed", "concepts_detours"):
        assert (tmp_path / "figures" / f"{name}.png").is_file()
    assert len(pd.read_csv(tmp_path / "tables" / "concepts_seeds.csv")) == 3
    frame = pd.read_csv(tmp_path / "tables" / "concepts_table3.csv")
    assert frame["role"].tolist() == ["S", "B"]
    link = chain(tmp_path / "tables" / "concepts_table3.csv")
    assert not link.faults()
    assert {each.stage for each in link.links} == {"maps", "networks"}
    teacher = folder / "networks" / "objects-alexnet-seed0-teacher" / "weights.safetensors"
    teacher.write_bytes(teacher.read_bytes() + b"x")
    (fault,) = chain(tmp_path / "tables" / "concepts_table2.md").faults()
    assert (fault.name, fault.state) == ("objects-alexnet-seed0-teacher", "changed")
    text = (tmp_path / "tables" / "concepts_table3.md").read_text()
    for number in (1, 2, 3):
        assert f"Hypothesis {number} " in text
    told = read_claims([tmp_path / "tables" / "concepts_table3"])
    assert set(told["source"]) == {f"[C20, hypothesis {number}]" for number in (1, 2, 3)}
    wide = frame.set_index("role")[["n_fg", "n_bg"]]
    gap = wide.loc["S"] - wide.loc["B"]
    effects = told.set_index("unit")["effect"]
    assert effects["N_fg, S minus B"] == pytest.approx(gap["n_fg"])
    assert effects["N_bg, B minus S"] == pytest.approx(-gap["n_bg"])
