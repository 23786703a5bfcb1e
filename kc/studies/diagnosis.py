"""Diagnose a weak network by a strong one: blind spots, unreliable features [L20, Sec. 4.1]."""

import pandas as pd

from kc.networks.tails import fresh_tail
from kc.plans.products import FitPlan
from kc.plans.records.diagnosis import Diagnosis
from kc.plans.studies import plan_of
from kc.plans.study import StudyPlan
from kc.report.tables import TableText
from kc.runtime import derive_seed
from kc.settings.whole import Settings
from kc.studies import printed
from kc.studies.accuracies import accuracies
from kc.studies.averages import over_chains
from kc.studies.components import draw_components
from kc.studies.features import Bench, ShapedFeatures
from kc.studies.fits import read_network_card
from kc.studies.gains import GainsOf, mean_accuracies, with_half_widths, write_gains
from kc.studies.intervals import Estimate
from kc.studies.reading import train_and_test
from kc.studies.verdicts import Claim, sentences
from kc.studies.wording import OVER_PAIRS, with_interval

RAW, GIVEN, WITH_BLIND, RELIABLE = "raw x_A", "g(x_A)", "g(x_A) + blind spots", "g(x_B)"
ALONE, FRESH = "network alone", "fresh classifier"
STRONGER = 10.0
"""Points of accuracy by which a strong network is to exceed a weak one; the paper's: 16.1."""
ROUNDING = 1e-3
"""Accuracies are float32: ten points can be 9.999998."""


def diagnosis_pairs(settings: Settings, plan: StudyPlan) -> pd.DataFrame:
    """Train a fresh classifier, with the layers of A above its tap, on four features of each pair.

    ``g(x_A) + blind spots`` is x_B itself: blind spots are x_B - g(x_A). ``g(x_B)`` is x_A without
    its unreliable features. All four are read in the shape of x_A
    (:class:`kc.studies.features.ShapedFeatures`), from the same fresh weights. Both networks as
    trained come first, for comparison.

    Returns
    -------
    DataFrame
        chain (seed of the pair), experiment, features, top1, test_images, gain_over_raw,
        half_width, gain_over_raw_half_width.
    """
    bench = Bench(settings)
    pairs = zip(plan.cases["blind_spots"], plan.cases["unreliable"], strict=True)
    return pd.concat([_one_pair(bench, *both) for both in pairs], ignore_index=True)


def diagnosis_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Average over pairs: one row for each experiment and features, with the printed values.

    Columns: experiment, features, those of :func:`kc.studies.gains.mean_accuracies` for gains over
    raw x_A, paper, paper_gain.
    """
    frame = mean_accuracies(pairs, ("experiment", "features"), ("raw",), over_chains)
    return frame.assign(
        paper=frame["features"].map(printed.diagnosis),
        paper_gain=frame["features"].map(printed.diagnosis_gain),
    )


def margin(pairs: pd.DataFrame) -> Estimate:
    """Return how much more accurate strong networks are than weak ones, in points."""
    alone = pairs[pairs["experiment"] == ALONE]
    weak, strong = (alone.groupby("chain", sort=False)["top1"].nth(place) for place in (0, 1))
    differences = strong.to_numpy() - weak.to_numpy()
    return over_chains(
        pd.DataFrame({"chain": alone["chain"].unique(), "margin": differences}), "margin"
    )


def is_strong(found: Estimate) -> bool:
    """Return whether strong networks exceed weak ones by :data:`STRONGER` points, on average."""
    return found.mean >= STRONGER - ROUNDING


def write(settings: Settings) -> None:
    """Write ``tables/diagnosis``, ``diagnosis_pairs``, and figures, under the results folder."""
    plan = plan_of(settings, "diagnosis")
    study = settings.of(Diagnosis)
    pairs = diagnosis_pairs(settings, plan)
    claims = diagnosis_claims(pairs)
    text = TableText(
        title="Diagnosis of a weak network by a strong one",
        caption="Top-1 accuracy of both networks, and of one classifier on four features; "
        "paper: the values printed in [L20, Sec. 4.1].",
        notes=[
            _strength(margin(pairs), study),
            *sentences(claims),
            OVER_PAIRS,
            f"A is the weak network ({study.weak}, {study.weak_layer}), B the strong one "
            f"({study.strong}, {study.strong_layer}).",
            _sizes(Bench(settings), plan.cases["blind_spots"][0]),
            *_recipe(settings),
        ],
    )
    about = GainsOf("diagnosis", ("experiment",), "gain_over_raw", (GIVEN, WITH_BLIND, RELIABLE))
    write_gains(settings, plan, text, (diagnosis_table(pairs), pairs), about, claims)
    what = (
        "Diagnosis: x$^\\Delta$ is what the other network does not know: blind spots of the weak "
    )
    what += "network if x* is the strong one's, unreliable features if x* is its own."
    draw_components(settings, "diagnosis", plan, "parts", what)


def _one_pair(bench: Bench, blind: FitPlan, unreliable: FitPlan) -> pd.DataFrame:
    weak = bench.layer(blind.source, blind.source_node)
    strong = bench.layer(blind.target, blind.target_node)
    order, seed = bench.settings.consistency.order, blind.source.seed
    features = {
        RAW: bench.raw(weak),
        GIVEN: bench.sums(bench.fit(blind), weak, order),
        WITH_BLIND: bench.raw(strong),
        RELIABLE: bench.sums(bench.fit(unreliable), strong, order),
    }
    tail = fresh_tail(weak.tail, derive_seed("diagnosis", bench.settings.tails.seed, seed))
    shape = tuple(weak.rows["train"].array.shape[1:])
    found = {
        name: train_and_test(
            bench,
            tail,
            {subset: ShapedFeatures(part, shape) for subset, part in some.items()},
            weak.labels,
            bench.settings.tails.fresh,
        )
        for name, some in features.items()
    }
    frame = accuracies(found, (RAW,))
    frame.columns = [name.replace(f"gain_over_{RAW}", "gain_over_raw") for name in frame.columns]
    frame.insert(0, "experiment", FRESH)
    networks = [read_network_card(end, bench.results) for end in (blind.source, blind.target)]
    alone = pd.DataFrame(
        {
            "experiment": ALONE,
            "features": [card["architecture"] for card in networks],
            "top1": [card["accuracy"]["test"] for card in networks],
            "n": len(weak.labels["test"]),
        }
    )
    frame = with_half_widths(pd.concat([alone, frame], ignore_index=True))
    frame.insert(0, "chain", seed)
    return frame


def _strength(found: Estimate, study: Diagnosis) -> str:
    told = f"{study.strong} is more accurate than {study.weak} by {with_interval(found)} points"
    if is_strong(found):
        return f"{told} ({STRONGER:g} or more are needed to call it strong; the paper: 16.1)."
    return (
        f"{told}, expected {STRONGER:g} or more (the paper: 16.1): this run cannot test what the "
        "paper claims of a weak and a strong network."
    )


def diagnosis_claims(pairs: pd.DataFrame) -> list[Claim]:
    """Compare the paper's claims with the gains, if B is strong enough to test them."""
    if not is_strong(margin(pairs)):
        return []
    says = {
        WITH_BLIND: "with its blind spots added the feature classifies",
        RELIABLE: "without its unreliable features x_A classifies",
    }
    return [
        Claim(
            "[L20, Sec. 4.1]",
            f"{start} better than raw x_A",
            "gain in points",
            {name: over_chains(pairs[pairs["features"] == name], "gain_over_raw")},
        )
        for name, start in says.items()
    ]


def _sizes(bench: Bench, blind: FitPlan) -> str:
    """Describe the shapes of both layers, and what is resized or filled for the classifier."""
    ends = (blind.source, blind.source_node), (blind.target, blind.target_node)
    a, b = (tuple(bench.store(network)[node].shape[1:]) for network, node in ends)
    spelled = [" x ".join(map(str, shape)) for shape in (a, b)]
    if a == b:
        return f"Both layers have the shape {spelled[0]} (channels first)."
    text = f"x_A is {spelled[0]}, x_B {spelled[1]} (channels first)."
    if a[1:] != b[1:]:
        text += (
            " Before g the source is resized bilinearly to the target's map, and before the "
            "classifier x_B and g(x_A) to that of x_A."
        )
    if b[0] < a[0]:
        text += f" The classifier's other {a[0] - b[0]} channels are 0 for x_B and g(x_A)."
    return text


def _recipe(settings: Settings) -> list[str]:
    recipe = settings.tails.fresh
    return [
        "Blind spots of A: x_B - g(x_A), so g(x_A) + blind spots is x_B by definition. Unreliable "
        "features of A: x_A - g(x_B); g(x_B) is x_A without them.",
        "Fresh classifier: A's layers above the tap, all from the same fresh weights, by SGD "
        f"({recipe.epochs} epochs, up to {recipe.peak_rate:g}); nothing below is trained. The "
        "paper gives no recipe.",
        "The paper prints 60.3 for raw x_A in its second experiment and takes 56.97, the network "
        "itself, in its first; its gain from blind spots, 16.1 points, is the difference between "
        "the two networks.",
    ]
