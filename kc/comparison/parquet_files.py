"""Read tables in Parquet files, block by block."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kc.errors import FeatureError
from kc.plans.optional import import_optional

BLOCK = 1 << 22
"""Numbers of a block, about."""
MOST = 1 << 13
"""Most rows of a block."""


class ParquetFile:
    """A Parquet file; nothing is kept in memory."""

    by_row = True
    """Blocks that hold no wanted row can be passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrow, self._parquet = _pyarrow(path)
        with self._opened() as file:
            self.types = [(field.name, field.type) for field in file.schema_arrow]
            made = (file.schema_arrow.pandas_metadata or {}).get("index_columns", [])
            self.index = {name for name in made if isinstance(name, str)}
        self.columns = [name for name, _ in self.types]
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            raise FeatureError(f"{path}: two columns are called '{twice[0]}'. Fix: rename one.")

    def kinds(self, names: Sequence[str]) -> dict[str, str]:
        """Return ``numbers``, ``lists`` (of numbers) or ``text`` for each column, by its type.

        The index of a frame of pandas counts as text.

        Raises
        ------
        FeatureError
            A column holds booleans or decimals, or nothing at all.
        """
        types = dict(self.types)
        return {
            name: "text" if name in self.index else self._kind(name, types[name]) for name in names
        }

    def _kind(self, name: str, kind: Any) -> str:
        of = self._arrow.types
        if of.is_integer(kind) or of.is_floating(kind):
            return "numbers"
        if of.is_boolean(kind) or of.is_decimal(kind) or of.is_null(kind):
            raise FeatureError(
                f"{self.path}: column '{name}' is {kind}; expected integers, fractions or text. "
                f"Fix: drop it, or frame['{name}'].astype('float32')."
            )
        inner, depth = kind, 0
        while self._is_list(inner):
            inner, depth = inner.value_type, depth + 1
        is_number = of.is_integer(inner) or of.is_floating(inner)
        return "lists" if depth and is_number else "text"

    def _is_list(self, kind: Any) -> bool:
        of = self._arrow.types
        return bool(of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind))

    def blocks(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Read columns of numbers or lists, block by block; a missing number is NaN.

        Raises
        ------
        FeatureError
            The lists of a block differ in length, or one is missing.
        """
        begin = 0
        for batch in self._batches(names):
            yield {
                name: self._numbers(name, batch.column(batch.schema.get_field_index(name)), begin)
                for name in names
            }
            begin += batch.num_rows

    def texts(self, name: str) -> list[str | None]:
        """Read a column of text or integers as text; a missing value is None."""
        kind = dict(self.types)[name]
        of = self._arrow.types
        inner = kind.value_type if of.is_dictionary(kind) else kind
        if not (of.is_string(inner) or of.is_large_string(inner) or of.is_integer(inner)):
            raise FeatureError(
                f"{self.path}: column '{name}' is {kind}; expected ids, text or integers. Fix: "
                "name another column."
            )
        values = [value for batch in self._batches([name]) for value in batch.column(0).to_pylist()]
        return [None if value is None else str(value) for value in values]

    def _numbers(self, name: str, values: Any, begin: int) -> np.ndarray:
        shape = [len(values)]
        while self._is_list(values.type):
            lengths = self._arrow.compute.list_value_length(values).to_numpy(zero_copy_only=False)
            odd = np.flatnonzero(~(lengths == lengths[0]))  # also NaN, of a missing list
            if len(odd):
                raise FeatureError(
                    f"{self.path}: the lists of column '{name}' differ in length, first in row "
                    f"{begin + int(odd[0]) // max(1, len(values) // shape[0])}; expected lists of "
                    "one length, none missing. Fix: pad them, or drop the column."
                )
            shape.append(int(lengths[0]))
            values = values.flatten()
        return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)

    def _batches(self, names: Sequence[str]) -> Iterator[Any]:
        # a column of lists counts as many
        wide = max(len(names), 512)
        with self._opened() as file:
            yield from file.iter_batches(
                batch_size=min(MOST, max(1, BLOCK // wide)), columns=list(names), use_threads=False
            )

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with self._parquet.ParquetFile(self.path, page_checksum_verification=True) as file:
                yield file
        except FeatureError:
            raise
        # a damaged file makes pyarrow raise many kinds of errors
        except Exception as error:
            raise FeatureError(
                f"{self.path}: not readable as Parquet ({type(error).__name__}: "
                f"{str(error).strip():.300}): damaged, or another format. Fix: copy it again, or "
                "pandas.DataFrame.to_parquet(FILE)."
            ) from error


def _pyarrow(path: Path) -> tuple[Any, Any]:
    names = ("pyarrow", "pyarrow.parquet", "pyarrow.compute")
    what, instead = f"{path}: reading Parquet", "save it as .csv"
    arrow, parquet, _ = (import_optional(name, what, FeatureError, instead) for name in names)
    return arrow, parquet
