"""Print the tables of a run in the short form of results.md.

Usage: python docs/results_tables.py results >> docs/results.md
"""

import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
from tabulate import tabulate

CASES = ("untrained", "initialization", "training_data", "same_start", "same_half", "itself")


def between(row: pd.Series, value: str, low: str, high: str, spec: str) -> str:
    """Format a value with its interval, if it has one."""
    if math.isnan(row[value]):
        return ""
    told = f"{row[value]:{spec}}"
    if not math.isnan(row[low]):
        told += f" [{row[low]:{spec}}, {row[high]:{spec}}]"
    return told


def pipe(rows: Iterable[dict[str, object]]) -> str:
    """Format rows as a Markdown table."""
    return tabulate(pd.DataFrame(rows), headers="keys", tablefmt="pipe", showindex=False,
                    disable_numparse=True)  # fmt: skip


def claims(folder: Path) -> str:
    """Return the verdicts by case."""
    rows = []
    for row in pd.read_csv(folder / "claims_cases.csv").to_dict("records"):
        effect = between(pd.Series(row), "effect", "ci_low", "ci_high", "+.3g")
        seen = row["smallest"] if row["verdict"] == "cannot tell" else math.nan
        rows.append(
            {"paper": row["source"], "claim (effect in)": f"{row['claim']} ({row['unit']})"}
            | {"case": row["case"], "effect [95 %]": effect, "verdict": row["verdict"]}
            | {"would be seen": "" if math.isnan(seen) else f"{seen:.2g}"}
        )
    return pipe(rows)


def table1(folder: Path) -> str:
    """Return Table 1: a column for each case, test images."""
    frame = pd.read_csv(folder / "table1.csv")
    held = frame[frame["subset"] == "test"]
    rows = []
    for (network, layer), some in held.groupby(["network", "layer"], sort=False):
        row: dict[str, object] = {"network": network, "layer": layer}
        row |= {case.replace("_", " "): "" for case in CASES}
        for case in CASES:
            for one in some[some["case"] == case].to_dict("records"):
                told = between(pd.Series(one), "mean", "ci_low", "ci_high", ".3f")
                paper = "" if math.isnan(one["paper"]) else f" ({one['paper']:.3f})"
                row[case.replace("_", " ")] = told + paper
        rows.append(row)
    return pipe(rows)


def table2(folder: Path) -> str:
    """Return Table 2: shares of Var(x*), and the paper's share of its sum."""
    frame = pd.read_csv(folder / "table2.csv")
    rows = []
    for (network, layer), some in frame[frame["subset"] == "test"].groupby(
        ["network", "layer"], sort=False
    ):
        row: dict[str, object] = {"network": network, "layer": layer}
        for one in some.to_dict("records"):
            paper = one["paper_share_of_sum"]
            moved = f"; {one['pair_moved']:.3f}"
            told = "" if math.isnan(paper) else f" ({paper:.3f})"
            row[one["component"]] = f"{one['share']:.3f}{told}{moved}"
        rows.append(row)
    return pipe(rows)


def ladder(folder: Path) -> str:
    """Return what linear maps of each field, and g of each order, miss."""
    frame = pd.read_csv(folder / "ladder.csv")
    rows = []
    for (network, layer), some in frame.groupby(["network", "layer"], sort=False):
        row: dict[str, object] = {"network": network, "layer": layer}
        for one in some[some["map"] != "g"].to_dict("records"):
            field = one["field"]
            name = "whole images" if math.isnan(field) else f"linear {field:.0f} x {field:.0f}"
            row[name] = f"{one['xdelta']:.3f}"
        of_g = some[some["map"] == "g"]
        used = of_g[of_g["order"] < of_g["order"].max()]["penalty"].iloc[0]
        chosen = of_g[of_g["penalty"] == used].to_dict("records")
        row |= {f"g, K = {one['order']:.0f}": f"{one['xdelta']:.3f}" for one in chosen}
        rows.append(row | {"the last beyond linear": f"{chosen[-1]['beyond_linear']:.3f}"})
    return pipe(rows)


def gains(
    name: str, by: list[str], gain: str, left_out: tuple[str, ...] = ()
) -> Callable[[Path], str]:
    """Return a function that formats a table of accuracies and gains, without some features."""

    def told(folder: Path) -> str:
        rows = []
        for one in pd.read_csv(folder / f"{name}.csv").to_dict("records"):
            if one["features"] in left_out:
                continue
            row = {key: one[key] for key in by}
            row["top-1 [95 %]"] = between(pd.Series(one), "top1", "ci_low", "ci_high", ".1f")
            row[gain.replace("_", " ")] = between(
                pd.Series(one), gain, f"{gain}_low", f"{gain}_high", "+.1f"
            )
            row["paper"] = "" if math.isnan(one["paper"]) else f"{one['paper']:g}"
            rows.append(row)
        return pipe(rows)

    return told


def chain(
    name: str, by: str, values: dict[str, tuple[str, str, str, str]]
) -> Callable[[Path], str]:
    """Return a function that formats a table over chains; values: header, ends and format."""

    def told(folder: Path) -> str:
        rows = []
        for one in pd.read_csv(folder / f"{name}.csv").to_dict("records"):
            row = {by: one[by], "network": one["network"], "layer": one["layer"]}
            for value, (header, low, high, spec) in values.items():
                row[header] = between(pd.Series(one), value, low, high, spec)
            rows.append(row)
        return pipe(rows)

    return told


def concepts(folder: Path) -> str:
    """Return Table 3 of the concepts."""
    specs = {"n_fg": ".1f", "n_bg": ".1f", "lambda_ratio": ".2f", "d_mean": ".2f",
             "d_std": ".2g", "d_ratio": ".2f", "rho": ".2f"}  # fmt: skip
    rows = []
    for one in pd.read_csv(folder / "concepts_table3.csv").to_dict("records"):
        row = {"network": one["network"], "layer": one["layer"], "role": one["role"]}
        for name, spec in specs.items():
            row[name] = between(pd.Series(one), name, f"{name}_low", f"{name}_high", spec)
        rows.append(row)
    return pipe(rows)


def known(folder: Path) -> str:
    """Return what each measure shows of a known difference."""
    frame = pd.read_csv(folder / "known_difference.csv")
    rows = []
    for (part, measure), some in frame.groupby(["part", "measure"], sort=False):
        row: dict[str, object] = {"factor": part, "measure": measure}
        for one in some.to_dict("records"):
            if one["contrast"] in ("beyond placebo", "beyond seeds"):
                told = between(pd.Series(one), "value", "ci_low", "ci_high", "+.3f")
                row[one["contrast"]] = f"{told}, power {one['power']:.2f}"
        rows.append(row)
    return pipe(rows)


def costs(folder: Path) -> str:
    """Return the seconds of one core that the fits and networks of each study took."""
    rows, seen = [], set()
    for file in sorted(folder.glob("*.json")):
        about = json.loads(file.read_text())
        if about.get("study") in (None, *seen) or "seconds" not in about:
            continue
        seen.add(about["study"])
        spent = about["seconds"]
        rows.append(
            {"study": about["study"], "networks": len(about["networks"])}
            | {"fits": len(about.get("fits", {}))}
            | {
                f"{what}, minutes": f"{spent.get(what, 0) / 60:.0f}"
                for what in ("networks", "fits")
            }
        )
    return pipe(rows)


OWN = ("A", "A_as_trained")
SHARE = {"share": ("Var(xdelta) / Var(x*)", "ci_low", "ci_high", ".3f")}
TOP1 = {"top1": ("top-1 (%)", "top1_low", "top1_high", ".1f")}
ENDS = {name: (f"{name.removesuffix('_top1')}'s top-1 (%)", f"{name}_low", f"{name}_high", ".1f")
        for name in ("source_top1", "target_top1")}  # fmt: skip
PARTS: dict[str, Callable[[Path], str]] = {
    "Claims, by case": claims,
    "Table 1: Var(x^Delta) / Var(x*), test images (paper)": table1,
    "Table 2: shares of Var(x*), test images (paper's share of its sum); one pair with the linear "
    "part of the higher orders moved to x0": table2,
    "What each order explains: x^Delta of one pair": ladder,
    "Diagnosis": gains("diagnosis", ["experiment", "features"], "gain_over_raw"),
    "Table 3": gains("table3", ["network", "layer", "features"], "gain_over_B", OWN),
    "Table 4": gains("table4", ["task", "network", "layer", "features"], "gain_over_B", OWN),
    "Compression": chain("compression", "removed", SHARE | TOP1),
    "Born-again": chain("born_again", "generation", SHARE | TOP1),
    "Cross-task": chain(
        "cross_task", "direction",
        {"reconstructed": ("reconstructed", "reconstructed_low", "reconstructed_high", ".3f")}
        | ENDS,
    ),
    "Concepts, student (S) and baseline (B)": concepts,
    "Known differences, beyond placebo and seeds": known,
    "Cost": costs,
}  # fmt: skip


def main(results: Path) -> None:
    """Print all parts that the run has."""
    for title, told in PARTS.items():
        try:
            text = told(results / "tables")
        except FileNotFoundError as error:
            sys.stderr.write(f"{title}: {error}\n")
            continue
        sys.stdout.write(f"**{title}**\n\n{text}\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
