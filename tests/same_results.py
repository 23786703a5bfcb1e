"""Compare all that two versions of kc make, on one machine: a rebuilt house may change no number.

Run in the checkout of each version, then compare the two folders::

    python -m tests.same_results make /tmp/before
    python -m tests.same_results make /tmp/after
    python -m tests.same_results compare /tmp/before /tmp/after

``make`` runs the presets smoke and default, and ``kc compare`` of two networks, of two files of
features and of a small matrix. Equal must be: the bytes of shards, weights and CSV files; JSON
without what names code, time and versions; the pixels of pictures; the text of tables and notes.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
NOT_COMPARED = frozenset(
    {
        *("key", "code", "seconds", "versions", "checksum", "fit_key", "digest", "created"),
        *("owner", "owners", "shown", "source", "sources", "uuid"),
    }
)
"""Keys of JSON files that name code or time, at any depth; values that are digests do not count."""
DIGEST = re.compile("[0-9a-f]{32}|[0-9a-f]{64}")
SKIPPED = re.compile(
    r"(^|/)(\.snakemake|logs|inputs|sources)(/|$)|(^|/)lock$|\.(lock|html|svg)$|-source/README$"
)

NETS = """
from torch import nn


def tiny(width=6):
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
        nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 5),
    )


def wide():
    return tiny(8)
"""


def make(out: Path, parts: list[str]) -> None:
    """Make all results of this checkout under a folder."""
    snakemake = [str(Path(sys.executable).with_name("snakemake")), "--cores", "2", "--quiet"]
    snakemake += ["rules", "--snakefile", str(ROOT / "Snakefile")]
    smoke = ["--configfile", str(ROOT / "workflow" / "presets" / "smoke.yaml")]
    for part, more in {"smoke": smoke, "default": []}.items():
        if part in parts:
            (out / part).mkdir(parents=True, exist_ok=True)
            _run(*snakemake, "--directory", str(out / part), *more)
    if "compare" in parts:
        pictures, code, first, second = _inputs(out / "inputs")
        pair = ["--a", f"{code}:tiny", "--b", f"{code}:wide", "--images", str(pictures)]
        pair += ["--size", "16", "--epochs", "3"]
        for name, arguments in {
            "networks": [*pair, "--labels", "--layer-a", "2", "--layer-b", "4"],
            "matrix": [*pair, "--layers", "0,4,6"],
            "arrays": ["--a", str(first), "--b", str(second), "--epochs", "3"],
        }.items():
            kc = "import sys; from kc.cli import app; app(sys.argv[1:])"
            _run(sys.executable, "-c", kc, "compare", *arguments, "--out", str(out / name))


def _run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


def _inputs(folder: Path) -> tuple[Path, Path, Path, Path]:
    random = np.random.default_rng(0)
    pictures = folder / "pictures"
    for number in range(60):
        file = pictures / f"class{number % 3}" / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    code = folder / "nets.py"
    code.write_text(NETS)
    features = random.standard_normal((300, 12)).astype(np.float32)
    others = features @ random.standard_normal((12, 8)).astype(np.float32)
    first, second = folder / "first.npy", folder / "second.npy"
    np.save(first, features)
    np.save(second, np.tanh(others))
    return pictures, code, first, second


def compare(before: Path, after: Path) -> list[str]:
    """List every difference between two folders of results."""
    old, new = _files(before), _files(after)
    found = [f"{name}: only in {before}" for name in sorted(old - new)]
    found += [f"{name}: only in {after}" for name in sorted(new - old)]
    return found + [name for name in sorted(old & new) if not _same(before / name, after / name)]


def _files(folder: Path) -> set[str]:
    names = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return {name for name in names if not SKIPPED.search(name)}


def _same(one: Path, other: Path) -> bool:
    if one.suffix == ".png":
        with Image.open(one) as a, Image.open(other) as b:
            return np.array_equal(np.asarray(a), np.asarray(b))
    if one.suffix == ".json":
        return bool(
            _without(json.loads(one.read_text())) == _without(json.loads(other.read_text()))
        )
    return one.read_bytes() == other.read_bytes()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(part) for name, part in value.items() if name not in NOT_COMPARED}
    if isinstance(value, list):
        return [_without(part) for part in value]
    # what it is of has a name of its own, or is compared by its bytes
    return "a digest" if isinstance(value, str) and DIGEST.fullmatch(value) else value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("out", type=Path)
    making.add_argument("--parts", nargs="+", default=["compare", "smoke", "default"])
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "make":
        make(given.out.resolve(), given.parts)
    else:
        differences = compare(given.before, given.after)
        sys.stdout.write("\n".join(differences or ["equal"]) + "\n")
        sys.exit(bool(differences))
