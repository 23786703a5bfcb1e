"""Load a copy of the workflow once; list what its rules count, and whose hash each edit changes.

Run with the copy's folder as PYTHONPATH: ``python counted.py ROOT CONFIGFILE < EDITS > JSON``,
where EDITS is a JSON list of (file, old, new); an empty ``old`` puts ``new`` at the end.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from kc import provenance

asked: set[str] = set()
hash_of = provenance.code_hash


def noting(*entries: str) -> str:
    """Hash as kc does, and record the requested modules."""
    asked.update(entries)
    return hash_of(*entries)


def kept_by_text(function: Callable[[str], Any]) -> Callable[[str], Any]:
    """Cache parsed modules by their text: parsing takes a second."""
    kept: dict[tuple[str, bytes], Any] = {}

    def ask(module: str) -> Any:
        about = module, provenance._source_path(module).read_bytes()
        if about not in kept:
            kept[about] = function(module)
        return kept[about]

    return ask


def evaluated(rules: Mapping[str, object]) -> dict[str, list]:
    """Evaluate the hashes of each rule: of its code, and of the page's templates."""
    for cached in (f for f in vars(provenance).values() if hasattr(f, "cache_clear")):
        cached.cache_clear()
    params = {
        name: (rule.params.code, rule.params.get("templates")) for name, rule in rules.items()
    }
    return {name: [each and each(None) for each in both] for name, both in params.items()}


def modules(rule: object) -> list[str]:
    """List the modules a rule's hash covers."""
    asked.clear()
    rule.params.code(None)
    return sorted(set().union(*map(provenance._closure, asked)))


def changed(rules: Mapping[str, object], root: Path, edits: list[list[str]]) -> list[list[str]]:
    """List the rules whose hash each edit changes."""
    before, found = evaluated(rules), []
    for file, old, new in edits:
        path = root / file
        text = path.read_text()
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1) if old else text + new)
        try:
            after = evaluated(rules)
        finally:
            path.write_text(text)
        found.append([name for name in rules if after[name] != before[name]])
    return found


if __name__ == "__main__":
    root, config = Path(sys.argv[1]), Path(sys.argv[2])
    provenance.code_hash = noting
    for name in ("_tree", "_imports", "_module_hash"):
        setattr(provenance, name, kept_by_text(getattr(provenance, name).__wrapped__))
    assert Path(provenance.__file__).is_relative_to(root)
    quiet = OutputSettings(quiet={Quietness.ALL})
    with SnakemakeApi(quiet) as api:
        flow = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(configfiles=[config]),
            snakefile=root / "Snakefile",
        )._workflow
        rules = {rule.name: rule for rule in flow.rules if "code" in rule.params.keys()}  # noqa: SIM118, a list
        told = {
            "counted": {name: modules(rule) for name, rule in rules.items()},
            "input": {name: list(map(str, rule.input)) for name, rule in rules.items()},
            "output": {name: list(map(str, rule.output)) for name, rule in rules.items()},
            "changed": changed(rules, root, json.load(sys.stdin)),
        }
    sys.stdout.write(json.dumps(told))
