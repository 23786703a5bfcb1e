"""Read a file of settings: YAML (or JSON), refused where it does not say what it seems to say."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kc.errors import SettingsError

LARGEST = 1 << 18
"""Bytes of a file of settings; the default has 5,000."""
EXPANDED = 20_000
"""Values of a file, each counted wherever an alias repeats it; the default has 400."""


def read_mapping(file: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises
    ------
    SettingsError
        It cannot be read, is no mapping, names a key twice, or its aliases expand beyond measure.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise SettingsError(f"{file}: more than {LARGEST:,} bytes; no settings are as long")
        found = _parse(content.decode("utf-8-sig"), file)
    # of a number with thousands of digits or a 13th month, PyYAML lets ValueErrors through
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SettingsError(f"{file}: not readable as YAML ({error})") from None
    except RecursionError:
        raise SettingsError(f"{file}: nested too deep for settings") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{file}: expected a mapping of settings, got {found!r:.60}")
    if "__use_yte__" in found:
        raise SettingsError(
            f"{file}: '__use_yte__' has Snakemake run Python that stands in the file. Fix: write "
            "the values out"
        )
    return found


def check_files(files: Iterable[Path | str]) -> None:
    """Refuse files that Snakemake has read and kc would not.

    Raises
    ------
    SettingsError
        As :func:`read_mapping`.
    """
    for file in files:
        read_mapping(Path(file))


def _parse(text: str, file: Path) -> Any:
    """Read JSON, or else YAML, as Snakemake does."""
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
                "Fix: write out what the aliases (*name) stand for"
            )
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _once(pairs: list[tuple[str, Any]], file: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise SettingsError(f"{file}: the key {twice!r:.80} stands twice. Fix: remove one of them")
    return found


def _refuse_repeated(root: yaml.Node, file: Path) -> None:
    """Refuse a key that stands twice in one mapping: YAML's reader would lose the first."""
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
                            f"{file}, line {line}: the key {key.value!r:.80} stands twice, first "
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
    """Count the values below a node; what an alias repeats is counted each time, walked once."""
    if id(node) in known:
        count = known[id(node)]
        if count is None:
            line = node.start_mark.line + 1
            raise SettingsError(f"{file}, line {line}: an alias stands within what it repeats")
        return count
    known[id(node)] = None
    count = 1 + sum(_expanded(inner, known, file) for inner in _inside(node))
    known[id(node)] = count
    return count


def _spell(count: int) -> str:
    return f"{count:,}" if count < 10**12 else "more than 10^12"
