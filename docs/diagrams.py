"""Draw the house and the way of the data from the code: ``python docs/diagrams.py``.

``docs/images/house.svg``: the packages of kc, each above all that it imports.
``docs/images/way.svg``: the kinds of jobs of the workflow, from Snakemake's graph of the rules.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import networkx

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
WORDS = {
    "images": "pictures of a data set, prepared once",
    "train": "networks, with their cards",
    "record": "features of networks, row by row",
    "fit": "g of a pair and layer, x^(k), x^Delta",
    "ladder": "maps of each order and field; other seeds of g",
    "titrate": "fits to features with a known difference",
    "train_concepts": "teachers, students, baselines",
    "map_concepts": "entropy of each pixel",
    "study": "tables and figures of a claim",
    "claims": "what the studies say together",
    "report": "one page of it all",
}
"""What a kind of job makes."""
WIDE, HIGH, GAP = 196, 62, 30
"""Size of a box, and the space between boxes, px."""


def house() -> tuple[list[list[str]], dict[str, str]]:
    """Return the packages in rows, each importing only from rows below, and what they are."""
    graph, about = networkx.DiGraph(), {}
    for path in sorted((ROOT / "kc").rglob("*.py")):
        part = path.relative_to(ROOT / "kc").parts[0].removesuffix(".py")
        if part.startswith("__"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.parent == ROOT / "kc" or path == ROOT / "kc" / part / "__init__.py":
            about[part] = (ast.get_docstring(tree) or "").split("\n")[0].strip(".").replace("`", "")
        graph.add_node(part)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kc."):
                other = str(node.module).split(".")[1]
                graph.add_edges_from([(other, part)] if other != part else [])
    # packages that import each other share a row
    one = networkx.condensation(graph)
    rows = [
        sorted(name for number in row for name in one.nodes[number]["members"])
        for row in networkx.topological_generations(one)
    ]
    return rows[::-1], about


def way() -> tuple[list[list[str]], list[tuple[str, str]]]:
    """Return the kinds of jobs in rows, and which reads what another makes."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "dot", "--forceall", "--nolock"]
    command += ["--cores", "1", "--configfile", "workflow/presets/smoke.yaml"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603
    names = dict(re.findall(r'(\d+)\[label = "([^"]+)"', told))
    graph = networkx.DiGraph()
    for source, target in re.findall(r"(\d+) -> (\d+)", told):
        ends = kind_of_job(names[source]), kind_of_job(names[target])
        if ends[0] != ends[1] and "all" not in ends:
            graph.add_edge(*ends)
    graph = networkx.transitive_reduction(graph)
    return [sorted(row) for row in networkx.topological_generations(graph)], sorted(graph.edges)


def kind_of_job(rule: str) -> str:
    """Return the kind of a rule: that of :data:`WORDS` with which its name begins, else a study."""
    kinds = [kind for kind in WORDS if rule == kind or rule.startswith(f"{kind}_")]
    return max(kinds, key=len, default="all" if rule == "all" else "study")


def drawn(
    rows: Sequence[Sequence[str]], about: Mapping[str, str], edges: Iterable[tuple[str, str]]
) -> str:
    """Draw boxes in rows, from top to bottom, and arrows between them, as SVG."""
    across = max(map(len, rows))
    width, height = across * (WIDE + GAP) + GAP, len(rows) * (HIGH + GAP) + GAP
    places = {
        name: (
            GAP + (across - len(row)) * (WIDE + GAP) / 2 + place * (WIDE + GAP),
            GAP + number * (HIGH + GAP),
        )
        for number, row in enumerate(rows)
        for place, name in enumerate(row)
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">',
        '<defs><marker id="end" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for source, target in edges:
        (x, y), (to_x, to_y) = places[source], places[target]
        lines.append(
            f'<path d="M{x + WIDE / 2:g} {y + HIGH} C{x + WIDE / 2:g} {y + HIGH + GAP:g} '
            f'{to_x + WIDE / 2:g} {to_y - GAP:g} {to_x + WIDE / 2:g} {to_y:g}" fill="none" '
            'stroke="#888" marker-end="url(#end)"/>'
        )
    for name, (x, y) in places.items():
        lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{WIDE}" height="{HIGH}" rx="6" fill="#eef3f8" '
            'stroke="#336"/>'
        )
        texts = [*wrapped(about.get(name, ""))]
        lines.append(
            f'<text x="{x + WIDE / 2:g}" y="{y + 17:g}" text-anchor="middle" font-weight="bold" '
            f'fill="#123">{escape(name)}</text>'
        )
        lines += [
            f'<text x="{x + WIDE / 2:g}" y="{y + 33 + 14 * number:g}" text-anchor="middle" '
            f'font-size="11" fill="#333">{escape(text)}</text>'
            for number, text in enumerate(texts)
        ]
    return "\n".join([*lines, "</svg>", ""])


def wrapped(text: str, most: int = 29) -> list[str]:
    """Break a text into two lines at most; the second ends with an ellipsis if more is left."""
    words, cuts = text.split(), [0]
    for _ in range(2):
        stop = cuts[-1]
        while stop < len(words) and len(" ".join(words[cuts[-1] : stop + 1])) <= most:
            stop += 1
        cuts.append(stop)
    lines = [" ".join(words[start:stop]) for start, stop in pairwise(cuts) if stop > start]
    return [*lines[:-1], f"{lines[-1]} …"] if lines and cuts[-1] < len(words) else lines


def pictures() -> dict[str, str]:
    """Return both pictures by name."""
    rows, about = house()
    stages, edges = way()
    return {"house.svg": drawn(rows, about, []), "way.svg": drawn(stages, WORDS, edges)}


if __name__ == "__main__":
    for name, picture in pictures().items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
