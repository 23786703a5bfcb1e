"""Load weights through other libraries: without pickles, and at once where there is no network."""

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from torch import nn

from kc.errors import NetworkError
from kc.plans.commands import command
from kc.plans.optional import import_optional
from kc.settings.preparation import Preparation

Library = Literal["timm", "transformers", "huggingface_hub"]
"""Libraries that kc works without."""
SECONDS = 5
"""How long an answer of Hugging Face's server is waited for."""
_FORCED = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


class Loaded(NamedTuple):
    """A network that a library made."""

    model: nn.Module
    weights: str = ""
    """Origin of its weights; empty: they are random."""
    files: tuple[Path, ...] = ()
    """Files the weights were read from."""
    prepared: Preparation | None = None
    """How the weights' pictures are prepared, if the library knows."""
    part: str = ""
    """The part of the library's network that it is; empty: the whole."""
    is_of_others: bool = False
    """Whether others trained it, so that its pictures must be prepared as theirs were."""


def library(name: Library) -> Any:
    """Import an optional library, or return None."""
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def needed(name: Library, spec: str) -> Any:
    """Import an optional library.

    Raises
    ------
    NetworkError
        It is not installed.
    """
    return import_optional(name, f"{spec}:", NetworkError)


@contextmanager
def tensors_only() -> Iterator[None]:
    """Let torch.load, called by other libraries, read tensors and no other objects."""
    before = os.environ.get(_FORCED)
    os.environ[_FORCED] = "1"
    try:
        yield
    finally:
        os.environ.pop(_FORCED)
        if before is not None:
            os.environ[_FORCED] = before


@contextmanager
def reachable_or_cached() -> Iterator[None]:
    """Let Hugging Face's libraries read their cache alone where their server is not reached.

    Otherwise they try for half a minute for each file.
    """
    hub = library("huggingface_hub")
    if hub is None:
        yield
        return
    constants, logger = hub.constants, logging.getLogger("huggingface_hub")
    before, level = constants.HF_HUB_OFFLINE, logger.level
    constants.HF_HUB_OFFLINE = before or not _is_reached(constants.ENDPOINT)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        logger.setLevel(level)


def _is_reached(address: str) -> bool:
    if not address.startswith(("https://", "http://")):
        return True  # the library says what is wrong with it
    try:
        urlopen(Request(address, method="HEAD"), timeout=SECONDS).close()  # noqa: S310 - see above
    except HTTPError:  # an answer
        return True
    except OSError:
        return False
    return True


def fetched[R](spec: str, load: Callable[[], R], missing: Callable[[], str]) -> R:
    """Load weights; if that fails, name the file that is missing and where it is looked for.

    Raises
    ------
    NetworkError
        They could not be loaded.
    """
    try:
        with tensors_only():
            return load()
    except NetworkError:
        raise
    # libraries raise errors of every kind: of the network, of files, of their own
    except Exception as error:
        told = " ".join(str(error).split())
        raise NetworkError(
            f"{spec}: its weights could not be loaded ({type(error).__name__}: {told:.300}). "
            f"{missing()}"
        ) from error


def cached(repository: str, *names: str) -> list[Path]:
    """Return which of some files of a repository are in Hugging Face's cache."""
    find = needed("huggingface_hub", repository).try_to_load_from_cache
    found = [find(repository, name) for name in names]
    return [Path(path) for path in found if isinstance(path, str)]


def look_in_cache(repository: str, *names: str) -> str:
    """Return the fix for files of a repository that are neither cached nor reached."""
    constants = needed("huggingface_hub", repository).constants
    folder = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    return (
        f"{' or '.join(names)} of {constants.ENDPOINT}/{repository} was looked for in {folder}. "
        f"Fix: where there is a network, {command('hf', 'download', repository)}, and copy that "
        "folder; HF_HOME names another place"
    )
