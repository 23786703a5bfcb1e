"""All studies; each module in :mod:`kc.plans.records` adds one."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kc.plans import records
from kc.plans.study import Study


def _recorded() -> Mapping[str, Study[Any]]:
    found: dict[str, Study[Any]] = {}
    for module in pkgutil.iter_modules(records.__path__):
        study = importlib.import_module(f"{records.__name__}.{module.name}").STUDY
        assert study.name == module.name, f"the record of {study.name} is in {module.name}.py"
        found[study.name] = study
    return MappingProxyType(dict(sorted(found.items(), key=lambda each: each[1].place)))


STUDIES: Mapping[str, Study[Any]] = _recorded()
"""All studies, in the order in which they are shown."""
