"""Plans of the default settings, counted by hand; shared products are planned once."""

from collections import Counter
from pathlib import Path

import pytest

from kc.errors import SettingsError
from kc.plans.outputs import drawn_fits, outputs_of, pictured
from kc.plans.products import (
    FitPlan,
    NetworkPlan,
    batches,
    fit_jobs,
    merged,
    networks_of,
    nodes_of,
    pairs_of,
    with_origins,
)
from kc.plans.registry import STUDIES
from kc.plans.studies import datasets_of, plan_of, plans
from kc.settings.concepts import Concepts
from kc.settings.load import read_settings
from kc.settings.whole import Common, Settings

CONFIG = Path(__file__).parents[2] / "config.yaml"


def default(**over: object) -> Settings:
    return read_settings([CONFIG], over)


def all_fits(settings: Settings) -> list[FitPlan]:
    return merged(fit for plan in plans(settings).values() for fit in plan.fits)


def all_networks(settings: Settings) -> list[NetworkPlan]:
    return with_origins(network for plan in plans(settings).values() for network in plan.networks)


def vgg(seed: int = 0, dataset: str = "birds", **more: object) -> NetworkPlan:
    return NetworkPlan(dataset, "vgg16_bn", seed, **more)  # type: ignore[arg-type]


def seeds(names: list[str], count: int) -> set[str]:
    return {f"{name}-seed{seed}" for name in names for seed in range(count)}


# the default, by hand

EXPECTED = {
    # networks, fits: three architectures of 5 seeds, one of them untrained too, and 5 half-splits
    # of three networks; five layers of 20 pairs of seeds, 10 on half the images, 10 of halves,
    # untrained and itself; three layers of 10 + 10 controls
    "stability": (63, 270),
    "diagnosis": (8, 8),  # four seeds, both directions
    "refinement": (12, 48),  # three architectures of 4 seeds, four layers of 12 pairs
    # two data sets of two architectures of 4 seeds; three tasks, three layers, rings of 8 pairs
    "redundancy": (16, 72),
    "compression": (15, 24),  # three chains of four pruned networks, two layers
    "born_again": (15, 24),
    "cross_task": (6, 12),
    "orders": (2, 1),
    # four groups of two full, two grey networks and a placebo, with six fits
    "known_difference": (20, 24),
    "baselines": (16, 56),  # diagnosis and refinement
    "concepts": (0, 0),  # it has its own networks
    "claims": (0, 0),  # it reads tables
}


@pytest.mark.parametrize("study", list(EXPECTED))
def test_a_study_has_the_number_of_networks_and_fits_counted_by_hand(study: str):
    plan = plan_of(default(), study)
    assert (len(plan.networks), len(plan.fits)) == EXPECTED[study]
    assert len({fit.name for fit in plan.fits}) == len(plan.fits)
    for fit in plan.fits:
        assert fit.source in plan.networks
        assert fit.target in plan.networks
        assert "." in fit.source_node
        assert "." in fit.target_node


def test_every_study_has_a_plan_and_is_counted_here():
    assert list(plans(default())) == list(STUDIES)
    assert set(EXPECTED) == set(STUDIES)


def test_networks_and_fits_of_diagnosis():
    plan = plan_of(default(), "diagnosis")
    assert [fit.name for fit in plan.cases["blind_spots"]] == [
        f"birds-alexnet-seed{n}--birds-resnet34-seed{n}--conv5-to-layer2.3.add" for n in range(4)
    ]
    assert [fit.name for fit in plan.cases["unreliable"]] == [
        f"birds-resnet34-seed{n}--birds-alexnet-seed{n}--layer2.3.add-to-conv5" for n in range(4)
    ]
    assert (plan.fits[0].source_node, plan.fits[0].target_node) == ("features.10", "layer2.3.add")
    assert plan.fits[0].pair == plan.fits[4].pair
    assert plan.stores
    assert drawn_fits("diagnosis", plan) == [plan.fits[0], plan.fits[4]]  # the first pair


def test_networks_and_fits_of_refinement():
    plan = plan_of(default(), "refinement")
    names = ["birds-vgg16_bn", "birds-resnet18", "birds-resnet34"]
    assert {network.name for network in plan.networks} == seeds(names, 4)
    assert Counter(fit.name.rpartition("--")[2] for fit in plan.fits) == {
        "conv4_3": 12, "conv5_2": 12, "last_conv": 24,
    }  # fmt: skip
    assert [fit.name for fit in plan.fits[:3]] == [
        f"birds-vgg16_bn-seed0--birds-vgg16_bn-seed{n}--conv4_3" for n in (1, 2, 3)
    ]
    assert {(fit.target, fit.source) for fit in plan.fits} == {
        (fit.source, fit.target) for fit in plan.fits
    }


def test_a_ring_of_refinement_leaves_out_the_pairs_across_it():
    fits = plan_of(default(refinement={"pairs": "ring"}), "refinement").fits
    assert {tuple(sorted((fit.source.seed, fit.target.seed))) for fit in fits} == {
        (0, 1), (1, 2), (2, 3), (0, 3),
    }  # fmt: skip
    assert len(fits) == 4 * 8


@pytest.mark.parametrize(
    ("count", "every", "ring"), [(2, 2, 2), (3, 6, 6), (4, 12, 8), (5, 20, 10)]
)
def test_pairs_have_both_directions_and_each_network_as_often(count: int, every: int, ring: int):
    for pairs, expected in (("all", every), ("ring", ring)):
        found = pairs_of(range(count), pairs)  # type: ignore[arg-type]
        assert len(found) == len(set(found)) == expected
        assert {(b, a) for a, b in found} == set(found)
        assert found[0] == (0, 1)
        assert all(a != b for a, b in found)
        assert set(Counter(a for a, _ in found).values()) == {expected // count}
    assert {(b - a) % count for a, b in pairs_of(range(count), "ring")} <= {1, count - 1}


def test_networks_and_fits_of_redundancy():
    plan = plan_of(default(), "redundancy")
    names = ["objects-vgg16_bn", "objects-resnet18", "mix-vgg16_bn", "mix-resnet18"]
    assert {network.name for network in plan.networks} == seeds(names, 4)
    assert {task: (fits[0].source.dataset, fits[0].only) for task, fits in plan.cases.items()} == {
        "voc_animal": ("objects", "animal"),
        "mix_cub": ("mix", "bird"),
        "mix_dogs": ("mix", "dog"),
    }
    assert [fit.name for fit in plan.cases["mix_dogs"]][::8] == [
        "mix-vgg16_bn-seed0--mix-vgg16_bn-seed1--conv4_3--only-dog",
        "mix-vgg16_bn-seed0--mix-vgg16_bn-seed1--conv5_2--only-dog",
        "mix-resnet18-seed0--mix-resnet18-seed1--last_conv--only-dog",
    ]


def test_networks_and_fits_of_compression():
    plan = plan_of(default(), "compression")
    assert list(plan.cases) == ["0.5", "0.8", "0.9", "0.933"]
    assert {fit.source.name for fit in plan.fits} == {
        f"birds-vgg16_bn-seed{seed}-pruned{share}"
        for seed in range(3)
        for share in ("50", "80", "90", "93.3")
    }
    assert all(fit.source.origin == fit.target for fit in plan.fits)
    assert {fit.target_layer for fit in plan.fits} == {"conv4_3", "conv5_2"}
    assert [fit.source.name for fit in plan.fits if fit.keep] == [
        "birds-vgg16_bn-seed0-pruned93.3"
    ] * 2  # the share that the paper shows


@pytest.mark.parametrize(("removed", "shown"), [([0.5, 0.9], 0.9), ([0.99, 0.95, 0.2], 0.95)])
def test_pictures_are_of_the_share_nearest_to_the_papers(removed: list[float], shown: float):
    plan = plan_of(default(compression={"removed": removed}), "compression")
    assert {fit.source.removed for fit in plan.fits if fit.keep} == {shown}


def test_networks_and_fits_of_born_again():
    plan = plan_of(default(), "born_again")
    assert {network.name for network in plan.networks} == {
        f"birds-vgg16_bn-seed{seed}{later}"
        for seed in range(3)
        for later in ("", *(f"-generation{number}" for number in (2, 3, 4, 5)))
    }
    assert {fit.target.generation for fit in plan.fits} == {5}
    assert all(fit.source.seed == fit.target.seed for fit in plan.fits)
    assert {case: {fit.source.generation for fit in fits} for case, fits in plan.cases.items()} == {
        str(number): {number} for number in (1, 2, 3, 4)
    }
    kept = [(fit.source.seed, fit.source.generation) for fit in plan.fits if fit.keep]
    assert kept == [(0, 1), (0, 1), (0, 3), (0, 3), (0, 4), (0, 4)]


@pytest.mark.parametrize(("generations", "shown"), [(2, {1}), (3, {1, 2}), (4, {1, 2, 3})])
def test_pictures_of_few_generations_are_not_repeated(generations: int, shown: set[int]):
    plan = plan_of(default(born_again={"generations": generations}), "born_again")
    assert {fit.source.generation for fit in plan.fits if fit.keep} == shown


def test_networks_and_fits_of_cross_task():
    plan = plan_of(default(), "cross_task")
    assert [network.name for network in plan.networks] == [
        f"mix-vgg16_bn-seed{seed}{task}" for seed in range(3) for task in ("", "-superclass")
    ]
    assert {fit.target.task for fit in plan.cases["b_from_a"]} == {"superclass"}
    assert {fit.source.task for fit in plan.cases["a_from_b"]} == {"superclass"}
    assert all(fit.source.seed == fit.target.seed for fit in plan.fits)
    assert all(fit.keep == (fit.source.seed == 0) for fit in plan.fits)


def test_a_fit_between_halves_uses_one_split():
    fits = plan_of(default(), "stability").cases["training_data"]
    assert Counter((fit.source.half, fit.target.half) for fit in fits) == {
        pair: 5 for n in "01234" for pair in ((f"{n}a", f"{n}b"), (f"{n}b", f"{n}a"))
    }


def ends(fits: tuple[FitPlan, ...]) -> set[tuple[str, str]]:
    return {
        (end.name.removeprefix("birds-alexnet-"), fit.source_layer)
        for fit in fits
        for end in (fit.source, fit.target)
    }


def one_split(**over: object) -> dict[str, tuple[FitPlan, ...]]:
    study = {"layers": {"alexnet": ["conv5", "conv4"]}, "half_splits": 1}
    return dict(plan_of(default(stability=study | over), "stability").cases)


def test_controls_change_the_half_or_the_start_alone_in_the_deepest_layer():
    cases = one_split()
    assert ends(cases["same_start"]) == {("half0a", "conv5"), ("half0b-start0a", "conv5")}
    assert ends(cases["same_half"]) == {("half0b", "conv5"), ("half0b-start0a", "conv5")}
    for fit in cases["same_start"]:
        assert fit.source.first_weights == fit.target.first_weights
        assert fit.source.half != fit.target.half
    for fit in cases["same_half"]:
        assert fit.source.first_weights != fit.target.first_weights
        assert fit.source.half == fit.target.half
    assert len(cases["same_start"]) == len(cases["same_half"]) == 2
    assert {fit.source_layer for fit in one_split(controls="all")["same_half"]} == {
        "conv4", "conv5",
    }  # fmt: skip


def test_untrained_and_itself_are_one_pair_a_layer_and_part_of_the_controls():
    cases = one_split()
    assert ends(cases["untrained"]) == {
        (name, layer) for name in ("seed0-untrained", "seed1") for layer in ("conv4", "conv5")
    }
    assert all(fit.source == fit.target for fit in cases["itself"])
    assert len(cases["itself"]) == len(cases["untrained"]) == 2
    none = one_split(controls="none")
    assert [name for name, fits in none.items() if fits] == ["initialization", "training_data"]


def test_fits_of_a_split_are_one_job_and_those_of_an_untrained_network_go_with_its_pair():
    cases = one_split()
    splits = [fit for name in ("training_data", "same_start", "same_half") for fit in cases[name]]
    assert {fit.pair for fit in splits} == {"birds-alexnet-split0"}
    pair = "birds-alexnet-seed0--birds-alexnet-seed1"
    assert {fit.pair for fit in cases["untrained"]} == {pair}
    assert pair in {fit.pair for fit in cases["initialization"]}
    assert {fit.pair for fit in cases["itself"]} == {"birds-alexnet-seed0"}


def test_a_ring_has_both_directions_of_neighbours_and_the_fits_on_half_the_images():
    every, ring = (one_split(pairs=pairs)["initialization"] for pairs in ("all", "ring"))
    near = {(a, b) for a in range(5) for b in range(5) if (a - b) % 5 in (1, 4)}
    for fits, whole in ((every, 20), (ring, 10)):
        halved = [fit for fit in fits if fit.images == "half"]
        assert {(fit.source.seed, fit.target.seed) for fit in halved} == near
        assert len(fits) == 2 * (whole + 10)
        assert len({fit.name for fit in fits}) == len(fits)
    assert {(fit.source.seed, fit.target.seed) for fit in ring} == near
    two = one_split(pairs="ring", seeds=[3, 1])["initialization"]
    assert {(fit.source.seed, fit.target.seed) for fit in two} == {(3, 1), (1, 3)}


def test_the_preset_of_other_seeds_has_the_default_s_design_and_none_of_its_networks():
    first = default()
    other = read_settings([CONFIG, CONFIG.parent / "workflow" / "presets" / "other-seeds.yaml"])
    for study, (networks, fits) in EXPECTED.items():
        plan = plan_of(other, study)
        assert (len(plan.networks), len(plan.fits)) == (networks, fits), study
    trained = {n.name for n in all_networks(first)} & {n.name for n in all_networks(other)}
    assert trained == set()
    assert not set(first.of(Concepts).seeds) & set(other.of(Concepts).seeds)
    same = {name for name in Common.model_fields if getattr(first, name) == getattr(other, name)}
    assert {*Common.model_fields} - same == {"results"}


# what studies share


def test_networks_shared_between_studies_are_trained_once():
    networks = all_networks(default())
    assert len(networks) == len({network.name for network in networks}) == 110 + 16
    assert Counter((n.dataset, n.architecture) for n in networks) == {
        ("birds", "alexnet"): 21,
        ("birds", "vgg16_bn"): 21 + 12 + 12,  # pruned, later generations
        ("birds", "resnet34"): 21,
        ("birds", "resnet18"): 20,
        ("objects", "vgg16_bn"): 4,
        ("objects", "resnet18"): 4,
        ("mix", "vgg16_bn"): 4 + 3,  # three classify superclasses
        ("mix", "resnet18"): 4,
    }


def test_fits_shared_between_studies_are_made_once():
    fits = all_fits(default())
    # stability shares 12 pairs of conv4_3 and of resnet34 with refinement, and one with orders;
    # refinement shares 2 of resnet18 with known_difference
    assert sum(number for _, number in EXPECTED.values()) == 459 + 24 + 56
    assert len(fits) == len({fit.name for fit in fits}) == 459 + 24 - 27


def test_a_fit_is_kept_once_if_at_least_one_study_keeps_it():
    settings = default()
    (wanted,) = plan_of(settings, "orders").fits
    same = [fit for fit in plan_of(settings, "stability").fits if fit.name == wanted.name]
    assert [fit.keep for fit in (*same, wanted)] == [True, True]
    found = [fit for fit in all_fits(settings) if fit.name == wanted.name]
    assert [fit.keep for fit in found] == [True]
    plain = FitPlan(vgg(0), vgg(1), "conv5_3", "conv5_3")
    for order in ([plain, wanted], [wanted, plain]):
        assert merged(order) == [wanted]
    assert merged([plain, plain]) == [plain]
    refined = plan_of(settings, "refinement").fits[0]  # kept by stability, not by refinement
    assert not refined.keep
    assert next(fit for fit in all_fits(settings) if fit.name == refined.name).keep


def test_fits_that_differ_only_in_images_are_not_merged():
    a, b = vgg(0, "mix"), vgg(1, "mix")
    some = [
        FitPlan(a, b, "conv5_3", "conv5_3"),
        FitPlan(a, b, "conv5_3", "conv5_3", "half"),
        FitPlan(a, b, "conv5_3", "conv5_3", only="dog"),
        FitPlan(a, b, "conv5_3", "conv5_3", only="bird"),
        FitPlan(b, a, "conv5_3", "conv5_3"),
    ]
    assert len(merged(some)) == len({fit.name for fit in some}) == 5


def test_origins_are_listed_once_and_before_the_networks_made_from_them():
    chain = with_origins([vgg(generation=3), vgg(removed=0.9), vgg(generation=3)])
    assert chain == [vgg(), vgg(generation=2), vgg(generation=3), vgg(removed=0.9)]
    for network in all_networks(default()):
        if network.origin is not None:
            order = sorted([network, network.origin])
            assert order[0] == network.origin
    assert vgg().origin is None


def test_every_node_a_fit_reads_is_recorded():
    fits = all_fits(default())
    read = {network: nodes_of(network, fits) for network in networks_of(fits)}
    assert read[vgg()] == ["features.30", "features.37", "features.40"]
    assert read[vgg(generation=2)] == ["features.30", "features.40"]
    assert read[vgg(removed=0.9)] == ["features.30", "features.37"]
    assert read[NetworkPlan("birds", "resnet34", 1)] == ["layer2.3.add", "layer3.5.add"]


# jobs


def test_one_job_per_architecture():
    found = batches(all_networks(default()), "architecture")
    assert {name: len(members) for name, members in found.items()} == {
        "birds-alexnet": 21,
        "birds-vgg16_bn": 21,
        "birds-vgg16_bn-pruned": 12,
        "birds-vgg16_bn-born_again": 12,
        "birds-resnet34": 21,
        "birds-resnet18": 8,
        "birds-resnet18-grey": 8,
        "birds-resnet18-fewer50": 4,
        "objects-vgg16_bn": 4,
        "objects-resnet18": 4,
        "mix-vgg16_bn": 7,
        "mix-resnet18": 4,
    }
    chains = [(n.seed, n.generation) for n in found["birds-vgg16_bn-born_again"]]
    assert sorted(chains) == [(seed, number) for seed in range(3) for number in (2, 3, 4, 5)]
    for members in found.values():
        assert len({(n.dataset, n.architecture, n.kind) for n in members}) == 1


def test_one_job_per_network():
    networks = all_networks(default())
    found = batches(networks, "network")
    assert {name: [n.name for n in members] for name, members in found.items()} == {
        network.name: [network.name] for network in networks
    }


def test_data_sets_include_the_parts_of_mixtures():
    settings = default()
    assert datasets_of(settings, plan_of(settings, "redundancy").networks) == [
        "birds", "dogs", "mix", "objects",
    ]  # fmt: skip
    assert datasets_of(settings, plan_of(settings, "refinement").networks) == ["birds"]
    assert datasets_of(settings, plan_of(settings, "cross_task").networks) == [
        "birds", "dogs", "mix",
    ]  # fmt: skip


# files


def test_outputs_of_studies():
    settings = default()
    outputs = {name: outputs_of(settings, name, plan) for name, plan in plans(settings).items()}
    assert [name for name in outputs["diagnosis"] if name.endswith((".csv", ".png"))] == [
        "tables/diagnosis.csv",
        "tables/diagnosis_pairs.csv",
        "figures/diagnosis.png",
        "figures/fig3_blind_spots_resnet34_layer2_3_add.png",
        "figures/fig3_unreliable_alexnet_conv5.png",
    ]
    assert [name for name in outputs["compression"] if name.endswith((".csv", ".svg"))] == [
        "tables/compression.csv",
        "tables/compression_chains.csv",
        "figures/fig4_compression.svg",
        "figures/fig4_compression_0_933_vgg16_bn_conv4_3.svg",
        "figures/fig4_compression_0_933_vgg16_bn_conv5_2.svg",
    ]
    assert outputs["orders"] == [
        "figures/fig1_vgg16_bn_conv5_3.png", "figures/fig1_vgg16_bn_conv5_3.svg",
    ]  # fmt: skip
    assert outputs["refinement"] == [
        *(f"tables/table3.{suffix}" for suffix in ("csv", "md", "tex", "json")),
        *(f"tables/table3_pairs.{suffix}" for suffix in ("csv", "md", "tex", "json")),
        *(f"figures/table3.{suffix}" for suffix in ("png", "svg")),
    ]
    together = [name for some in outputs.values() for name in some]
    assert len(set(together)) == len(together)


def test_pictures_have_distinct_names_on_every_system():
    layers = {"vgg16_bn": ["conv5_3", "features.3", "features.33"], "resnet18": ["last_conv"]}
    settings = default(
        orders={"layers": layers},
        compression={"layers": ["conv5_3", "features.3"]},
        born_again={"layers": ["conv5_3", "features.3"]},
    )
    found = [name for study in STUDIES for name, _ in pictured(study, plan_of(settings, study))]
    assert len(found) == 2 + 2 + 3 * 2 + 4 + 4 + 1
    assert len({name.lower() for name in found}) == len(found)
    assert all("." not in name and "/" not in name for name in found)


def test_pictures_are_of_kept_fits_only():
    for study, plan in plans(default()).items():
        shown = [fit for _, fit in pictured(study, plan)]
        assert shown == drawn_fits(study, plan)
        assert shown == ([fit for fit in plan.fits if fit.keep] if STUDIES[study].pictures else [])


def test_without_components_no_picture_is_expected():
    settings = default(consistency={"components": "none"})
    for study, plan in plans(settings).items():
        figures = [n for n in outputs_of(settings, study, plan) if n.startswith("figures/")]
        assert {Path(name).stem for name in figures} == {*STUDIES[study].plots, *plan.figures}
    assert outputs_of(settings, "orders", plan_of(settings, "orders")) == []


# starting weights


def test_networks_start_from_pretrained_weights_where_a_study_says_so():
    settings = default(diagnosis={"weights": "pretrained"}, networks={"alexnet": {"weights": "f"}})
    found = plans(settings)
    names = [network.name for network in found["diagnosis"].networks]
    assert names == [
        f"birds-{name}-seed{seed}-pretrained"
        for name in ("alexnet", "resnet34")
        for seed in range(4)
    ]
    assert {n.weights for name in ("stability", "refinement") for n in found[name].networks} == {
        "scratch"
    }
    # those of baselines are the diagnosis' own
    assert {*found["diagnosis"].fits} < {*found["baselines"].fits}
    jobs = batches(
        [*found["diagnosis"].networks, vgg(), *found["stability"].networks], "architecture"
    )
    assert [n.name for n in jobs["birds-alexnet-pretrained"]] == names[:4]
    assert all(n.weights == "scratch" for n in jobs["birds-alexnet"])
    pruned = NetworkPlan("birds", "resnet18", 0, removed=0.5, weights="pretrained")
    assert pruned.name == "birds-resnet18-seed0-pruned50-pretrained"
    assert pruned.origin == NetworkPlan("birds", "resnet18", 0, weights="pretrained")
    climbed = plan_of(default(stability={"weights": "pretrained"}), "stability").climbed
    assert {fit.target.weights for fit in climbed} == {"pretrained"}


def test_weights_without_effect_are_refused():
    settings = default(networks={"alexnet": {"weights": "imagenet"}})
    with pytest.raises(SettingsError, match=r"^networks.alexnet.weights is set, but every .*Fix: "):
        plans(settings)
    tuned = {"concepts": {"table3": {"teacher": "pretrained"}}}
    assert plans(default(networks={"alexnet": {"weights": "imagenet"}}, **tuned))


# faults


@pytest.mark.parametrize(
    ("over", "told"),
    [
        (
            {"refinement": {"dataset": "brids"}},
            r"^refinement\.dataset 'brids' is not among datasets, did you mean 'birds'\? known: "
            r"animals, birds, dogs, mix, objects$",
        ),
        ({"cross_task": {"dataset": "cub200"}}, r"^cross_task\.dataset 'cub200' is not among"),
        (
            {"concepts": {"dataset": ["animals", "detz"]}},
            r"^concepts\.dataset 'detz' is not among datasets; known: animals",
        ),
        (
            {"concepts": {"dataset_classes": {"animal": ["cat"]}}},
            r"^concepts\.dataset_classes 'animal' is not among datasets, did you mean 'animals'\?",
        ),
        (
            {"redundancy": {"tasks": {"mine": {"dataset": "mixt", "superclass": "dog"}}}},
            r"^redundancy\.tasks\.mine\.dataset 'mixt' is not among datasets, did you mean 'mix'",
        ),
    ],
)
def test_an_unknown_data_set_is_one_clear_error(over: dict[str, object], told: str):
    settings = default(**over)
    with pytest.raises(SettingsError, match=told):
        plans(settings)
    (study,) = over
    for name in set(STUDIES) - {study, "baselines"}:
        plan_of(settings, name)  # the other studies are not affected


@pytest.mark.parametrize(
    "over",
    [{"redundancy": {"tasks": {}}}, {"refinement": {"layers": {}}}, {"orders": {"layers": {}}}],
)
def test_an_empty_study_is_one_clear_error(over: dict[str, object]):
    (study,) = over
    (key,) = over[study]  # type: ignore[misc]
    settings = default().model_copy(
        update={study: getattr(default(), study).model_copy(update=over[study])}
    )
    with pytest.raises(SettingsError, match=rf"{study}: .*{key}.*Fix: "):
        plan_of(settings, study)


def test_baselines_of_a_study_without_pairs_is_one_clear_error():
    with pytest.raises(SettingsError, match=r"^baselines\.studies: 'concepts' fits no pairs .*Fix"):
        plan_of(default(baselines={"studies": ["orders", "concepts"]}), "baselines")


@pytest.mark.parametrize("name", ["stabilty", "baselines"])
def test_baselines_of_an_unknown_study_is_one_clear_error(name: str):
    with pytest.raises(SettingsError, match=rf"no study '{name}'; there are stability, "):
        plan_of(default(baselines={"studies": [name]}), "baselines")


def test_fits_of_two_architectures_are_one_job_where_starts_cost_more_than_fits():
    fits = all_fits(default())
    found = fit_jobs(fits, "architecture")
    assert {"birds-alexnet", "birds-alexnet--birds-resnet34", "mix-vgg16_bn"} <= found.keys()
    assert sorted(fit for some in found.values() for fit in some) == sorted(fits)
    assert all(name == some[0].pair for name, some in fit_jobs(fits, "network").items())
