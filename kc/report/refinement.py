"""Table 3 as files."""

from pathlib import Path

from kc.plans.studies import plan_of
from kc.report.tables import write_table
from kc.settings.whole import Settings
from kc.studies.origin import origin, setting_notes
from kc.studies.refinement import refinement_table
from kc.studies.wording import ACCURACY, TEST_BOOTSTRAP


def write(settings: Settings) -> None:
    """Write ``tables/table3`` under the results folder."""
    plan = plan_of(settings, "refinement")
    recipe = settings.tails.refine
    notes = [
        "A reconstructs B's feature; x0, x0+x1, ... are partial sums of that one fit, read by B's "
        "tail. A, B: their own features, read by their own tails.",
        "All tails, the baselines' too, are trained further from their trained weights, by one "
        "recipe on the same batches; everything below the tap stays fixed, and so does g.",
        f"That recipe: Adam, {recipe.first_rate:g} to {recipe.last_rate:g} log-spaced over "
        f"{recipe.epochs} epochs (the paper: 1e-5 to 1e-7 over 100).",
        TEST_BOOTSTRAP,
        *setting_notes(settings, plan.networks),
    ]
    write_table(
        refinement_table(settings, plan),
        Path(settings.results) / "tables" / "table3",
        title="Table 3: refined features",
        caption="Top-1 accuracy on features of a network (A, B) and on those that A gives of B's "
        "through g; beside it the values printed in [L20, Table 3].",
        notes=notes,
        provenance=origin(settings, "refinement", plan),
        columns=ACCURACY,
    )
