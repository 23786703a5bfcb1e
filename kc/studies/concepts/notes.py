"""Notes of Tables 2 and 3 of [C20]: what is counted, how, and the answers to the hypotheses."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kc.names import Start
from kc.plans.concept_products import cells_of
from kc.plans.products import NetworkPlan
from kc.settings.concepts import Concepts, PaperTable, Role
from kc.settings.recipes import Recipe
from kc.settings.reconstruction import Consistency
from kc.settings.whole import Settings
from kc.studies.concepts.numbers import PAIR, Difference, differences
from kc.studies.concepts.printed import printed_dataset
from kc.studies.concepts.views import LATE, LayerView, by_cell
from kc.studies.intervals import LEAST
from kc.studies.origin import setting_notes
from kc.studies.verdicts import Claim

MEASURES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "n_fg": ("N_fg", ".1f"),
        "n_bg": ("N_bg", ".1f"),
        "lambda_ratio": ("lambda", ".3f"),
        "d_mean": ("D_mean", ".3f"),
        "d_std": ("D_std", ".3g"),
        "d_mean_up_to": ("D_mean up to the layer", ".3f"),
        "d_std_up_to": ("D_std up to the layer", ".3g"),
        "d_ratio": ("D(richest) / D(last)", ".3f"),
        "d_mean_released": ("D_mean released", ".3f"),
        "d_std_released": ("D_std released", ".3g"),
        "rho": ("rho", ".3f"),
    }
)
"""Column header and number format of each measure."""
HYPOTHESES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Hypothesis 1 (S has more concepts on the object than B, and a larger share of its "
        "concepts there)",
        ("n_fg", "n_bg", "lambda_ratio"),
    ),
    (
        "Hypothesis 2 (S learns its concepts sooner and at the same time: smaller D_mean, D_std)",
        (
            "d_ratio",
            "d_mean",
            "d_std",
            "d_mean_up_to",
            "d_std_up_to",
            "d_mean_released",
            "d_std_released",
        ),
    ),
    ("Hypothesis 3 (S takes fewer detours: larger rho)", ("rho",)),
)
"""The claims of [C20], each with the measures that test it."""
TESTED: tuple[tuple[str, str, str], ...] = (
    ("hypothesis 1", "n_fg", "a distilled network has more concepts on the object"),
    ("hypothesis 1", "n_bg", "a distilled network has fewer concepts on the background"),
    ("hypothesis 1", "lambda_ratio", "more of a distilled network's concepts are on the object"),
    ("hypothesis 2", "d_mean", "a distilled network learns its concepts sooner"),
    (
        "hypothesis 2",
        "d_ratio",
        "a distilled network learns its concepts sooner, whatever the learning rate",
    ),
    ("hypothesis 2", "d_std", "a distilled network learns its concepts more at the same time"),
    ("hypothesis 3", "rho", "a distilled network makes fewer detours"),
)
"""Hypothesis, measure, and what it says of it, in the table of claims."""


def interval_note(about: Concepts) -> str:
    """Describe what the intervals are over."""
    seeds = len(about.seeds)
    if seeds == 1:
        return (
            "Intervals, 95 %: over images (jackknife, t). They do not cover the randomness of "
            "training: every row is of one network."
        )
    own = "each with a teacher, students and a baseline of its own"
    if seeds < LEAST:
        return f"Means over {seeds} seeds, {own}: too few for an interval."
    return (
        f"Intervals, 95 %: over {seeds} seeds, {own} (t over the seeds' means over images; on a "
        "log scale for single networks, plain for differences). They hold for these images. "
        "concepts_seeds.csv has every network's values."
    )


def hypothesis_notes(found: Sequence[LayerView]) -> list[str]:
    """Return the measured signs and intervals for each of the three hypotheses."""
    away = [each for views in by_cell(found) for each in differences(views)]
    notes = []
    for claim, measures in HYPOTHESES:
        answers = [_answer(measure, away, "S - B") for measure in measures]
        notes.append(f"{claim}. {' '.join(answers)}")
    return notes


def hypothesis_claims(found: Sequence[LayerView]) -> list[Claim]:
    """Compare the three hypotheses with each network and layer, by the measures in ``TESTED``."""
    away = [each for views in by_cell(found) for each in differences(views)]
    claims = []
    for source, measure, says in TESTED:
        head, spec = MEASURES[measure]
        some = [each for each in away if each.measure == measure]
        of = "S minus B" if some[0].claim > 0 else "B minus S"
        effects = {each.place: each.effect for each in some}
        claims.append(Claim(f"[C20, {source}]", says, f"{head}, {of}", effects, f"+{spec}"))
    return claims


def teacher_notes(found: Sequence[LayerView]) -> list[str]:
    """Describe whether the teacher exceeds the student, and S exceeds B [C20, Sec. 4.2]."""
    pairs: dict[str, tuple[Role, Role]] = {"T - S": ("teacher", "student"), "S - B": PAIR}
    return [
        _answer(measure, [d for views in by_cell(found) for d in differences(views, pair)], name)
        for name, pair in pairs.items()
        for measure in ("n_fg", "lambda_ratio")
    ]


def _answer(measure: str, away: Sequence[Difference], pair: str) -> str:
    some = [each for each in away if each.measure == measure]
    head, spec = MEASURES[measure]
    signed = f"+{spec}"
    told = "; ".join(
        f"{d.place} {d.found.value:{signed}} [{d.found.low:{signed}}, {d.found.high:{signed}}]"
        for d in some
    )
    held = sum(each.sign == each.claim for each in some)
    against = sum(each.sign == -each.claim for each in some)
    claimed = "above" if some[0].claim > 0 else "below"
    return (
        f"{head}, {pair} (claimed: {claimed} 0): {told}; as claimed in {held} of {len(some)}, "
        f"the opposite in {against}, open in {len(some) - held - against}."
    )


def counting_notes(settings: Settings, found: Sequence[LayerView]) -> list[str]:
    """Describe what a concept is, and in which images they were counted."""
    about = settings.of(Concepts)
    names = dict.fromkeys(view.cell.architecture for view in found)
    b = ", ".join(f"{name} {about.threshold(name):g}" for name in names)
    level = "of the image" if about.level == "image" else "averaged over images, as released"
    left = ", ".join(
        f"{some[0].name} {'/'.join(str(view.unusable) for view in some)}" for some in by_cell(found)
    )
    datasets = dict.fromkeys(view.cell.dataset for view in found)
    dropped = [share for view in found for share in view.dropped.values()]
    used = "used here" if about.effective else "not used here"
    return [
        f"A concept: a cell with Hbar - H > b nats, Hbar the background's mean entropy {level}; "
        f"b: {b}. Entropies by the preset '{about.entropy}'.",
        f"Images: the first {about.images} training images that have cells both on the object "
        "and in the background; the same ones for all networks of a layer. Left out because the "
        "layer does not change at all with noise (s_f = 0), or there is no level, at a checkpoint "
        f"after epoch 0, by seed: {left}.",
        "The released code keeps only images whose background has at least the entropy of the "
        f"object at late checkpoints (here: from {LATE:.0%} of the epochs on). That selects in "
        f"favour of the claim; {used}. It would drop {min(dropped):.0%} to {max(dropped):.0%} of "
        "the images of a network and layer.",
        *(_foreground_note(settings, dataset) for dataset in datasets),
        *(_printed_note(dataset) for dataset in datasets),
    ]


def _foreground_note(settings: Settings, dataset: str) -> str:
    about = settings.datasets[dataset]
    box = ", else its box" if about.box_foreground else ""
    return (
        f"{dataset}: pictures cropped to {about.crop:g} times the object's box (the paper: CUB 1, "
        f"VOC 1.2, DET 1.5); foreground: the object's mask{box}."
    )


def _printed_note(dataset: str) -> str:
    shown = printed_dataset(dataset)
    if shown == dataset:
        return f"Printed values are those of '{dataset}'."
    return (
        f"Nothing is printed for '{dataset}' (VOC's part of Table 3 is missing from the text): "
        f"printed values are those of {shown.upper()}."
    )


def untrained_note(found: Sequence[LayerView]) -> str:
    """Return the counts at the first and last checkpoint: the difference is due to training."""
    told = []
    for views in by_cell(found):
        each = [view.seen["baseline"].n_fg.double().mean(1) for view in views]
        first, last = (sum(float(one[row]) for one in each) / len(each) for row in (0, -1))
        told.append(f"{views[0].name} {first:.1f} to {last:.1f}")
    epochs = found[0].seen["baseline"].epochs
    return (
        f"N_fg of the baseline from epoch {epochs[0]} to epoch {epochs[-1]}: {'; '.join(told)}. "
        "Concepts of a network with random weights (epoch 0) are not knowledge."
    )


def speed_notes(settings: Settings) -> list[str]:
    """Explain D and rho, and whether rates allow to compare D."""
    own = _student_rates(settings.of(Concepts))
    rates = (
        f"Students with a rate of their own: {', '.join(own)}; a lower rate makes D smaller "
        "without faster learning, so compare only the ratio."
        if own
        else "Student and baseline learn at equal rates, but their losses differ, and so do their "
        "steps: only the ratio is free of that."
    )
    return [
        "D: distance of all parameters, summed by epoch, over the norm of the initial ones, as "
        "printed; 'up to the layer': that of the parameters up to it, which student and baseline "
        "both train; 'released': that of the analysed layer's weight, summed by step. The layers "
        "above a student's target do not change while it imitates, but count in the printed D's "
        "norm. D(richest) / D(last), mean over images, of the parameters up to the layer: no "
        "factor on the rate changes it. D_std is a variance, as printed. Student and baseline are "
        f"compared at the same epochs. {rates}",
        "rho: share of the concepts on the object at any checkpoint after epoch 0 that the "
        "last one still has; mean over images that have any.",
    ]


def accuracy_note(cards: Mapping[str, Mapping[str, Any]]) -> str:
    """List the networks' accuracies: concepts of one that learned little mean little."""
    found: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for name, card in cards.items():
        found[name.replace(f"-seed{card['seed']}", "")].append(card["accuracy"])
    told = ", ".join(
        f"{name} {_over(some, 'test')} ({_over(some, 'train')})" for name, some in found.items()
    )
    return f"Top-1 on test (training) images, %, by seed: {told}."


def _over(accuracies: Sequence[Mapping[str, float]], subset: str) -> str:
    return "/".join(f"{each[subset]:.1f}" for each in accuracies)


def training_notes(settings: Settings, table: PaperTable) -> list[str]:
    """Describe how the networks of a table were trained."""
    about, lessons = settings.of(Concepts), settings.of(Concepts).training
    start = about.of_table(table).teacher
    cells = cells_of(about, table)
    places = dict.fromkeys((cell.dataset, cell.architecture) for cell in cells)
    plans = [NetworkPlan(*place, 0) for place in places]
    # this study uses neither the other studies' recipe nor g
    own = settings.model_copy(update={"training": Recipe(), "consistency": Consistency()})
    rates = _student_rates(about)
    others = len(rates) < len({(cell.architecture, cell.layer) for cell in cells})
    told = "; ".join([*rates, *(["as the baseline"] if others else [])])
    factors = ", ".join(f"{name} {by:g}" for name, by in lessons.family_rates.items())
    times = f" (teacher and baseline multiplied by: {factors})" if factors else ""
    return [
        f"SGD for {lessons.epochs} epochs, the paper: 150; first rates: baseline "
        f"{lessons.baseline_rate:g}{times}; student {told}. {_LOSSES[lessons.distil_loss]} "
        f"Checkpoints after epochs {', '.join(map(str, lessons.checkpoints))}.",
        _teacher_start(settings, start),
        *setting_notes(own, plans),
    ]


_LOSSES = MappingProxyType(
    {
        "printed": "Students' loss: the squared distance to the teacher's output, over 128.",
        "released": "Students' loss: the MSE of the output.",
    }
)


def _student_rates(about: Concepts) -> list[str]:
    """List the students that have a rate of their own, each with it."""
    told: dict[str, None] = {}
    for cell in (*cells_of(about, "table2"), *cells_of(about, "table3")):
        own = about.training.distil_rate(cell.architecture, cell.layer)
        if own is not None:
            both = own if isinstance(own, tuple) else (own,)
            rates = " to ".join(f"{rate:g}" for rate in both)
            told[f"{cell.architecture} {cell.layer} {rates}"] = None
    return list(told)


def _teacher_start(settings: Settings, start: Start) -> str:
    """Describe the teachers' first weights: only the paper's Table 3 fine-tunes."""
    lessons = settings.of(Concepts).training
    if start == "pretrained":
        return (
            "Teachers fine-tuned from pretrained weights, as for the paper's Table 3; first rate "
            f"{lessons.finetune_rate:g}. Students and baselines from scratch."
        )
    crops = "mirrored and cropped at random" if lessons.teacher_augment == "crop" else "as for all"
    return (
        "Teachers from scratch, as for the paper's Table 2; first rate "
        f"{lessons.teacher_rate:g}, their training pictures {crops}."
    )
