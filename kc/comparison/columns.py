"""Choose the columns of a table that are features: units, or lists of units."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kc.comparison.csv_files import CsvFile
from kc.comparison.parquet_files import ParquetFile
from kc.errors import FeatureError
from kc.plans.commands import quoted

LOG = logging.getLogger(__name__)

TableFile = CsvFile | ParquetFile
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_NO_UNIT = frozenset(
    {
        *("id", "ids", "idx", "index", "row", "label", "labels", "class", "target"),
        *("fold", "split", "subset"),
    }
)
"""Last words of names of an index, an id or a label, which are no units if they hold integers."""


class TableArray:
    """Columns of a table as an array; shape and type are known, the numbers read on access."""

    def __init__(
        self, table: TableFile, names: Sequence[str], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.table, self.names, self.shape, self.dtype = table, tuple(names), shape, dtype
        self.by_row = table.by_row

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Read a slice, or rows in ascending order, block by block."""
        wanted = np.arange(self.shape[0])[rows]
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        begin = 0
        for block in self.table.blocks(self.names):
            values = _joined([block[name] for name in self.names])
            first, last = np.searchsorted(wanted, [begin, begin + len(values)])
            found[first:last] = values[wanted[first:last] - begin]
            begin += len(values)
        return found


def open_table(path: Path) -> TableFile:
    """Open a table, by its suffix.

    Raises
    ------
    FeatureError
        It cannot be read, two columns have one name, or pyarrow is missing.
    """
    return ParquetFile(path) if path.suffix.lower() == ".parquet" else CsvFile(path)


def read_columns(
    path: Path, only: str | None = None, ids: str | None = None
) -> dict[str, TableArray]:
    """Return the features of a table: its columns of numbers as one array, each list as its own.

    Columns of text, and ``ids``, the column that holds the ids, are left out.

    Parameters
    ----------
    only
        Read only this column; None, or the file's stem if no column has that name: all.

    Raises
    ------
    FeatureError
        A value is missing or not finite, or a column of whole numbers seems to be an index.
    """
    table = open_table(path)
    of_all = only is None or (only == path.stem and only not in table.columns)
    if not of_all and only not in table.columns:
        raise FeatureError(
            f"{path}: no column '{only}' in it; there are {', '.join(table.columns[:9])}. "
            "Fix: name one of these."
        )
    if ids is not None and only == ids:
        raise FeatureError(f"{path}: column '{ids}' is both ids and feature. Fix: name another.")
    wanted = [name for name in table.columns if name != ids] if of_all else [str(only)]
    kinds = table.kinds(wanted)
    texts = [name for name in wanted if kinds[name] == "text"]
    units = [name for name in wanted if kinds[name] == "numbers"]
    if len(texts) == len(wanted):
        raise FeatureError(
            f"{path}: no numbers in {_listed(texts) or 'it'}; expected columns of numbers. Fix: "
            "name or write a column of numbers; text may be ids, --ids-a or -b :COLUMN."
        )
    left_out = [*([f"{ids} (the ids)"] if ids in table.columns else []), *texts]
    if left_out:
        LOG.warning("%s: columns that are no units: %s", path, _listed(left_out))
    lists = [name for name in wanted if kinds[name] == "lists"]
    groups = {name: [name] for name in lists} | ({path.stem if of_all else str(only): units}
                                                 if units else {})  # fmt: skip
    if units and of_all and path.stem in lists:
        raise FeatureError(
            f"{path}: a column is called '{path.stem}', as the array of the other columns would "
            f"be. Fix: name the column, {path}:{path.stem}, or rename the file."
        )
    return _scanned(table, groups, units if of_all else [])


def _scanned(
    table: TableFile, groups: Mapping[str, Sequence[str]], judged: Sequence[str]
) -> dict[str, TableArray]:
    """Read the table once: shapes, types, missing values, and columns that only count rows."""
    rows, counting = 0, set(judged)
    whole = {name for name in judged if _is_no_unit(name)}
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, np.dtype[Any]] = {}
    for block in _checked(table, [name for names in groups.values() for name in names]):
        for name, names in groups.items():
            values = _joined([block[each] for each in names])
            shape = values.shape[1:]
            if shapes.setdefault(name, shape) != shape:
                raise FeatureError(
                    f"{table.path}: the lists of column '{name}' differ in length: {shape} after "
                    f"row {rows}, {shapes[name]} before. Fix: pad them, or drop the column."
                )
            dtypes[name] = np.result_type(dtypes.get(name, values.dtype), values.dtype)
        count = next((len(values) for values in block.values()), 0)
        counting = {n for n in counting if _counts(block[n], rows)}
        whole = {n for n in whole if np.array_equal(block[n], np.rint(block[n]))}
        rows += count
    if rows > 1 and (odd := [name for name in judged if name in counting | whole]):
        why = "counts the rows" if odd[0] in counting else "is named like an index, id or label"
        raise FeatureError(
            f"{table.path}: column '{odd[0]}' {why}; it would be taken for a unit. Fix: if these "
            f"are the ids, --ids-a or -b {quoted(f':{odd[0]}')}; else drop it, or rename it if "
            "it is a unit."
        )
    return {
        name: TableArray(table, names, (rows, *shapes[name]), dtypes[name])
        for name, names in groups.items()
        if name in shapes
    }


def _is_no_unit(name: str) -> bool:
    """Return whether a name is one of an index, an id or a label; also as pandas writes them."""
    words = [word.lower() for word in _WORDS.findall(name)]
    made = words[:1] == ["unnamed"] or words[:2] in (["index", "level"], ["level", "0"])
    return made or (len(words) > 0 and words[-1] in _NO_UNIT)


def _counts(values: np.ndarray, begin: int) -> bool:
    """Return whether values are the numbers of their rows, from 0 or 1."""
    own = np.arange(begin, begin + len(values))
    return bool(np.array_equal(values, own) or np.array_equal(values, own + 1))


def _checked(table: TableFile, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Read blocks; refuse missing values."""
    begin = 0
    for block in table.blocks(names):
        for name, values in block.items():
            odd = np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))
            if len(odd):
                raise FeatureError(
                    f"{table.path}: column '{name}' has no number in row {begin + int(odd[0])} "
                    "(row 0 is the first): it is missing, NaN or infinite. Fix: fill it, or leave "
                    "out that row or column."
                )
        begin += len(next(iter(block.values())))
        yield block


def _joined(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Put columns of numbers side by side; a column of lists is alone, as it is."""
    if columns[0].ndim > 1:
        return columns[0]
    return np.stack(columns, axis=1)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"{', '.join(names[:6])}{more}"
