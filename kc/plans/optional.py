"""Import libraries that come with an extra of kc only."""

import importlib
from typing import Any

from kc.errors import KCError
from kc.plans.commands import command


def import_optional(module: str, what: str, error: type[KCError], instead: str = "") -> Any:
    """Import a module of an optional library.

    Parameters
    ----------
    what
        What needs it, for the message.
    error
        Type of the error.
    instead
        Another fix, before the command that installs the library.

    Raises
    ------
    KCError
        It is not installed; the error is of the given type.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise error(
            f"{what} needs {name}, which is not installed. Fix: "
            f"{instead and instead + ', or: '}{command('pip', 'install', name)}"
        ) from None
