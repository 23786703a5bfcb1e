"""Read tables of text, ``.csv`` and ``.tsv``, block by block."""

import csv
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from pandas.errors import ParserWarning

from kc.errors import FeatureError
from kc.plans.commands import command

BLOCK = 1 << 22
"""Numbers of a block."""
BLANK = "Unnamed: {}"
"""Name of a column without one, as pandas calls it."""


class CsvFile:
    """A ``.csv`` or ``.tsv`` with a header line; nothing is kept in memory."""

    by_row = False
    """Rows can only be read from the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.separator = "\t" if path.suffix.lower() == ".tsv" else ","
        with _readable(path), path.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.reader(opened, delimiter=self.separator)
            first = next((line for line in lines if line), [])
        self.columns = [name or BLANK.format(place) for place, name in enumerate(first)]
        _check_header(path, self.columns)

    def kinds(self, names: Sequence[str]) -> dict[str, str]:
        """Return ``numbers`` or ``text`` for each column, by all of its values.

        Raises
        ------
        FeatureError
            A column holds booleans, or mostly numbers and some text.
        """
        numbers = dict.fromkeys(names, 0)
        wrong: dict[str, tuple[int, str]] = {}
        found = dict.fromkeys(names, "numbers")
        begin = 0
        for block in self._blocks(names):
            for name, values in block.items():
                if is_bool_dtype(values.dtype):
                    raise FeatureError(
                        f"{self.path}: column '{name}' holds true and false; expected numbers or "
                        "text. Fix: write 0 and 1, or drop the column."
                    )
                if is_numeric_dtype(values.dtype):
                    numbers[str(name)] += len(values)
                    continue
                found[str(name)] = "text"
                read = pd.to_numeric(values, errors="coerce").notna().to_numpy()
                numbers[str(name)] += int(read.sum())
                odd = np.flatnonzero(~read & values.notna().to_numpy())
                if len(odd):
                    wrong.setdefault(
                        str(name), (begin + int(odd[0]), str(values.iloc[int(odd[0])]))
                    )
            begin += len(block)
        for name, (row, value) in wrong.items():
            if 2 * numbers[name] > begin:
                raise FeatureError(
                    f"{self.path}: column '{name}' holds numbers, but '{value:.50}' in row {row} "
                    "(row 0 is the first after the header). Fix: correct it, or drop the column."
                )
        return found

    def blocks(self, names: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """Read columns of numbers, block by block; a missing value is NaN."""
        for block in self._blocks(names):
            yield {str(name): values.to_numpy() for name, values in block.items()}

    def texts(self, name: str) -> list[str | None]:
        """Read a column as it is written; a missing value is empty."""
        about: dict[str, Any] = {"dtype": {name: str}, "keep_default_na": False}
        return [str(value) for block in self._blocks([name], **about) for value in block[name]]

    def _blocks(self, names: Sequence[str], **about: Any) -> Iterator[pd.DataFrame]:
        with _readable(self.path):
            reader = pd.read_csv(
                self.path,
                sep=self.separator,
                header=0,
                names=self.columns,
                index_col=False,
                encoding="utf-8-sig",
                compression=None,
                low_memory=False,
                chunksize=max(1, BLOCK // len(self.columns)),
                **about,
            )
        # all columns are read: pandas does not notice longer rows if it reads some
        with reader:
            while True:
                with _readable(self.path), warnings.catch_warnings():
                    # of a row with more values than names, pandas would drop some
                    warnings.simplefilter("error", ParserWarning)
                    block = next(reader, None)
                if block is None:
                    return
                yield block[list(names)]


def _check_header(path: Path, names: Sequence[str]) -> None:
    """Refuse names that occur twice, and a first line that holds values in place of names."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice and not any(map(_is_number, twice)):
        raise FeatureError(f"{path}: two columns are called '{twice[0]}'. Fix: rename one.")
    numbers = [name for name in names if _is_number(name)]
    count = range(len(numbers))
    # pandas names columns 0, 1, 2, ... that have no name
    counted = ([str(k) for k in count], [str(k + 1) for k in count] if len(numbers) > 1 else [])
    if numbers and numbers not in counted:
        raise FeatureError(
            f"{path}: its first line holds numbers ({', '.join(numbers[:3])}), so it seems to have "
            "no header; expected a name for each column, or 0, 1, 2, ... Fix: add a line of names, "
            "or numpy.save the numbers."
        )
    if len(names) < 2:
        other = next((mark for mark in ";\t|," if mark in "".join(names)), None)
        if not names or other is not None:
            held = "is empty" if not names else f"seems to have its columns separated by {other!r}"
            raise FeatureError(
                f"{path}: {held}; expected a header line and columns separated by "
                f"{'tabs' if path.suffix.lower() == '.tsv' else 'commas'}. Fix: write it so."
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FeatureError:
        raise
    except UnicodeDecodeError as error:
        raise FeatureError(
            f"{path}: not readable as text in UTF-8 ({error}). Fix: "
            f"{command('iconv', '-f', 'LATIN1', '-t', 'UTF-8', str(path))} > new{path.suffix}"
        ) from error
    # pandas and csv raise many kinds of errors
    except Exception as error:
        raise FeatureError(
            f"{path}: not readable as {path.suffix} ({type(error).__name__}: "
            f"{str(error).strip():.300}). Fix: write it with as many values in each row as names "
            "in the header, as pandas.DataFrame.to_csv(FILE, index=False) does."
        ) from error
