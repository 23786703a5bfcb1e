"""Read a file of settings: YAML or JSON without repeated keys, endless aliases or hidden code."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kc.errors import SettingsError

LARGEST = 1 << 18
"""Most bytes of a file of settings; the default has 5,000."""
EXPANDED = 20_000
"""Most values of a file, counted each time an alias repeats them; the default has 400."""


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises
    ------
    SettingsError
        It cannot be read, is no mapping, repeats a key, or its aliases expand to too many values.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SettingsError(f"{file}: more than {LARGEST:,} bytes, too long for settings")
        found = _parse(content.decode("utf-8-sig"), file)
    # PyYAML raises ValueError for a number with thousands of digits or a 13th month
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{file}: not readable as YAML ({error})") from None
    except RecursionError:
        raise SettingsError(f"{file}: nested too deeply for settings") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{file}: expected a mapping of settings, got {found!r:.60}")
    if "__use_yte__" in found:
        raise SettingsError(
            f"{file}: '__use_yte__' makes Snakemake run Python code in the file. Fix: write "
            "the values themselves"
        )
    return found


def check_files(files: Iterable[Path | str]) -> None:
    """Check files that Snakemake has read already.

    Raises
    ------
    SettingsError
        As :func:`read_mapping`.
    """
    for file in files:
        read_mapping(Path(file))


def _parse(text: str, file: Path) -> Any:
    """Parse JSON, otherwise YAML, as Snakemake does."""
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, file))
    except json.JSONDecodeError:
        pass
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_repeated(root, file)
        if (values := _expanded(root, {}, file)) > EXPANDED:
            raise SettingsError(
                f"{file}: its aliases expand to {_spell(values)} values, more than {EXPANDED:,}. "
                "Fix: write the values themselves in place of the aliases (*name)"
            )
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _once(pairs: list[tuple[str, Any]], file: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise SettingsError(f"{file}: the key {twice!r:.80} appears twice. Fix: remove one of them")
    return found


def _refuse_repeated(root: yaml.Node, file: Path) -> None:
    """Raise SettingsError if a mapping repeats a key: PyYAML would drop the first."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    line, first = key.start_mark.line + 1, lines.get(key.value)
                    if first is not None:
                        raise SettingsError(
                            f"{file}, line {line}: the key {key.value!r:.80} appears twice, first "
                            f"in line {first}. Fix: remove one of them, or join them"
                        )
                    lines[key.value] = line
        for inner in _inside(node):
            if id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner)


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _expanded(node: yaml.Node, known: dict[int, int | None], file: Path) -> int:
    """Count the values below a node; those of an alias count each time, but are visited once."""
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            line = node.start_mark.line + 1
            raise SettingsError(f"{file}, line {line}: an alias is part of what it repeats")
        return count
    known[id(node)] = None
    count = 1 + sum(_expanded(inner, known, file) for inner in _inside(node))
    known[id(node)] = count
    return count


def _spell(count: int) -> str:
    return f"{count:,}" if count < 10**12 else "more than 10^12"
