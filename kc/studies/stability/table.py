"""Write Tables 1 and 2, the ladder, the networks and the figures."""

from collections.abc import Mapping

from kc.plans.studies import plan_of
from kc.report.figures import write_figure
from kc.report.tables import Column, TableText, write_table
from kc.settings.whole import Settings
from kc.studies.origin import origin, setting_notes
from kc.studies.stability.figure import stability_figure
from kc.studies.stability.ladder_figure import ladder_figure
from kc.studies.stability.numbers import stability_tables
from kc.studies.verdicts import recorded

COLUMNS: Mapping[str, Column] = {
    "mean": Column("Var(xdelta) / Var(x*)", ".3f"),
    "mean_of_sum": Column("Var(xdelta) / sum", ".3f"),
    "ci_low": Column("", ".3f"),
    "n_pairs": Column("pairs"),
    "positions_per_weight": Column("positions per weight"),
    "mean_half_images": Column("on half the images", ".3f"),
    "share_test": Column("Var(xdelta) / Var(x*), test", ".3f"),
    "share_train": Column("the same, train", ".3f"),
    "variance": Column("variance (feature's units squared)"),
    "share": Column("share of Var(x*)", ".3f"),
    "share_of_sum": Column("share of sum", ".3f"),
    "paper_share_of_sum": Column("paper's share of sum", ".3f"),
    "test_accuracy": Column("test accuracy (top-1, %)", ".1f"),
    "train_accuracy": Column("train accuracy (top-1, %)", ".1f"),
    "images": Column("training images"),
    "pair_share": Column("one pair: share", ".3f"),
    "pair_spread": Column("one pair: spread over seeds of g", ".3f"),
    "pair_moved": Column("one pair: share, linear parts moved to x0", ".3f"),
    "penalty": Column("lambda"),
    "xdelta": Column("xdelta", ".3f"),
    "xdelta_train": Column("xdelta, train", ".3f"),
    "beyond_linear": Column("beyond linear", ".3f"),
}
CAPTIONS = {
    "table1": (
        "Table 1: instability of training",
        "Fraction of a feature's variance unexplained (FVU) by g from the same layer of a network "
        "of another initialisation, or trained on other images; paper: the values printed in "
        "[L20, Table 1].",
    ),
    "table1_pairs": (
        "Table 1: single fits",
        "Every pair of networks in Table 1: fraction of variance unexplained (FVU) of the target "
        "network's feature by g from the source network's.",
    ),
    "table2": (
        "Table 2: magnitudes of the components",
        "Variance of the consistent components of each order (x0, x1, ...) and of the "
        "inconsistent one (xdelta), networks of different initialisations; paper: the values "
        "printed in [L20, Table 2].",
    ),
    "ladder": (
        "What each order explains",
        "Share of Var(x*) that linear maps of each field miss, and g of each order; below, g "
        "along lambda. Networks of different initialisations, one pair for each layer.",
    ),
    "networks": ("Networks", "The networks of Tables 1 and 2."),
}


def write(settings: Settings) -> None:
    """Write the tables of the study and two figures under the results folder.

    Raises
    ------
    StoreError
        A fit or network is missing, or is not what its name says.
    """
    plan = plan_of(settings, "stability")
    found = stability_tables(plan, settings.results)
    about = origin(settings, "stability", plan)
    extra = {"table1": setting_notes(settings, plan.networks)}
    orders = found.ladder.filter(regex=r"^(x\d+|cross)$")
    shares = {str(name): Column(str(name), ".3f") for name in orders}
    for name, (title, caption) in CAPTIONS.items():
        write_table(
            getattr(found, name),
            settings.results / "tables" / name,
            TableText(
                title=title, caption=caption, notes=[*found.notes[name], *extra.get(name, ())]
            ),
            provenance=about | (recorded(found.claims) if name == "table1" else {}),
            columns={**shares, **COLUMNS} if name == "ladder" else COLUMNS,
        )
    figures = settings.results / "figures"
    write_figure(stability_figure(found.table1, found.table1_pairs), figures / "table1")
    write_figure(ladder_figure(found.ladder, found.penalties), figures / "ladder")
