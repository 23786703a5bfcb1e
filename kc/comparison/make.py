"""Compare the pair of a user and write the page: for the command line and the workflow."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from kc.comparison import compare, compare_layers, read_arrays, read_network
from kc.comparison.arrays import OwnArrays
from kc.comparison.models import compare_models
from kc.comparison.networks import OwnNetwork, preparation_of
from kc.comparison.outputs import LOCK, alone_in, names_of, refuse_outputs
from kc.comparison.places import check_writable, refuse_files, refuse_inputs
from kc.comparison.settings import CompareSettings
from kc.comparison.write_matrix import write_matrix
from kc.comparison.write_models import FIGURES, TABLES, write_models
from kc.comparison.write_pair import write_comparison
from kc.files.made import MADE
from kc.report.page import FILES
from kc.settings.custom import Letter, Pair, is_features
from kc.settings.models import Models
from kc.store.ownership import LEDGER


class PageMade(NamedTuple):
    """What a comparison made."""

    page: Path
    answer: str
    """One sentence."""


def make(
    pair: Pair,
    settings: CompareSettings,
    out: Path,
    device: str = "auto",
    say: Callable[[str], None] = tqdm.write,
) -> PageMade:
    """Compare a pair, write tables, figures and the page, and return page and answer.

    Two untrained networks of the same name get different weights. Only one comparison may run in
    a folder at a time: otherwise a table could mix two.

    Raises
    ------
    KCError
        The pair is invalid.
    """
    # vectors have no figures, but the names of figures are reserved for all pairs
    figures = ["matrix"] if pair.is_matrix else ["b-from-a", "a-from-b"]
    if "ladder" in pair.tables():
        figures += ["ladder", *(["ladder-path"] if pair.ladder else [])]
    names = names_of(pair.tables(), figures)
    with _guarded(out, names, pair.files()):
        return _made(pair, settings, out, device, say)


def make_models(
    given: Models,
    settings: CompareSettings,
    out: Path,
    device: str = "auto",
    say: Callable[[str], None] = tqdm.write,
) -> PageMade:
    """Compare many models, write tables, figures and the page, and return page and answer.

    Raises
    ------
    KCError
        The models cannot be compared.
    """
    with _guarded(out, names_of(TABLES, FIGURES), given.files()):
        models = [_model(given, spec, settings) for spec in given.models]
        layers = [given.layer_of(place) for place in range(len(models))]
        found = compare_models(
            models, layers, given.images, out, settings, device, given.references, say
        )
        return PageMade(write_models(found, out), found.answer)


@contextmanager
def _guarded(out: Path, names: Sequence[str], files: Iterable[Path]) -> Iterator[None]:
    """Refuse a folder where inputs or others' files are in the way; hold its lock."""
    refuse_inputs([out / name for name in (*names, FILES, LEDGER, LOCK)], files)
    refuse_files(out, map(Path, ("tables", "figures", MADE)))
    check_writable(out)
    refuse_outputs(out, names)
    with alone_in(out):
        yield


def _model(given: Models, spec: str, settings: CompareSettings) -> OwnNetwork | OwnArrays:
    if is_features(spec):
        return read_arrays(spec, None)
    return read_network(
        spec, None, settings.seed, given.untrained, given.remote_code, settings.size
    )


def _made(
    pair: Pair, settings: CompareSettings, out: Path, device: str, say: Callable[[str], None]
) -> PageMade:
    a = _side(pair, "a", settings)
    b = _side(pair, "b", settings)
    for letter, side in (("a", a), ("b", b)):
        if isinstance(side, OwnNetwork):
            how = preparation_of(letter, side, settings)
            say(f"{letter}: {side.name}, weights: {side.weights}; pictures: {how.told()}")
    if pair.is_matrix:
        of_a, of_b = pair.layers or pair.layer_a, pair.layers or pair.layer_b
        found = compare_layers(a, b, of_a, of_b, pair.images, out, settings, device, say)
        return PageMade(write_matrix(found, out), found.answer)
    assert not isinstance(pair.layer_a, tuple)
    assert not isinstance(pair.layer_b, tuple)
    one = compare(a, b, pair.layer_a, pair.layer_b, pair.images, out, settings, device)
    return PageMade(write_comparison(one, out), one.answer)


def _side(pair: Pair, letter: Letter, settings: CompareSettings) -> OwnNetwork | OwnArrays:
    side = pair.side(letter)
    if is_features(side.spec):
        return replace(read_arrays(side.spec, side.ids), layout=side.layout)
    # two untrained networks of one name have different weights
    seed = settings.seed + "ab".index(letter)
    size = side.prepare.size or settings.size
    network = read_network(side.spec, side.weights, seed, pair.untrained, pair.remote_code, size)
    return replace(network, asked=side.prepare, layout=side.layout)
