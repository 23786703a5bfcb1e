"""Write the tables and figures of one study."""

import importlib

from kc.settings.whole import Settings


def write_study(name: str, settings: Settings) -> None:
    """Write a study's files under the results folder, by ``write`` of ``kc.studies.<name>``.

    Parameters
    ----------
    name
        One of :data:`kc.plans.registry.STUDIES`.
    settings
        Those it depends on (:meth:`kc.settings.whole.Common.of_study`); tables record them all.

    Raises
    ------
    StoreError
        A product it reads is missing, damaged, or not the one its name says.
    """
    importlib.import_module(f"kc.studies.{name}").write(settings)
