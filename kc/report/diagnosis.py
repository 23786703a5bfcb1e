"""Diagnosis as files: the table, and pictures of blind spots and unreliable features."""

from pathlib import Path

from kc.plans.studies import plan_of
from kc.report.tables import write_table
from kc.settings.whole import Settings
from kc.studies.components import draw_components
from kc.studies.diagnosis import diagnosis_table
from kc.studies.origin import origin, setting_notes
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP


def write(settings: Settings) -> None:
    """Write ``tables/diagnosis`` and ``figures/fig3_*`` under the results folder."""
    plan = plan_of(settings, "diagnosis")
    study, recipe = settings.diagnosis, settings.tails.fresh
    notes = [
        f"A is the weak network ({study.weak}, {study.weak_layer}), B the strong one "
        f"({study.strong}, {study.strong_layer}).",
        "Blind spots of A: x_B - g(x_A), so g(x_A) + blind spots is x_B by definition. Unreliable "
        "features of A: x_A - g(x_B); g(x_B) is x_A without them.",
        "Fresh classifier: A's layers above the tap, all from the same fresh weights, by SGD "
        f"({recipe.epochs} epochs, up to {recipe.peak_rate:g}); nothing below is trained. The "
        "paper tells of no recipe.",
        "The paper prints 60.3 for raw x_A in its second experiment and takes 56.97, the network "
        "itself, in its first; its gain from blind spots, 16.1 points, is the difference between "
        "the two networks.",
        TEST_BOOTSTRAP,
        *setting_notes(settings, plan.networks),
    ]
    table = diagnosis_table(settings, plan)
    weak, strong = table["top1"][:2]
    if weak >= strong:
        notes.insert(
            1,
            f"Here A is not the weaker one ({weak:.1f} against {strong:.1f} %): what the paper "
            "claims of a weak and a strong network cannot be told from this run.",
        )
    write_table(
        table,
        Path(settings.results) / "tables" / "diagnosis",
        title="Diagnosis of a weak network by a strong one",
        caption="Top-1 accuracy of both networks, and of one classifier on four features; beside "
        "it the values printed in [L20, Sec. 4.1].",
        notes=notes,
        provenance=origin(settings, "diagnosis", plan),
        columns=ACCURACY,
    )
    what = "Diagnosis: x$^\\Delta$ is what the other network cannot give: blind spots of the weak "
    what += "network where x* is the strong one's, unreliable features where x* is its own."
    draw_components(settings, "diagnosis", plan, "parts", what)
