"""Networks of torch.hub, whose code comes with them: ``hub:OWNER/REPOSITORY[:REF]:ENTRY``."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from kc.comparison.loading import Loaded, fetched
from kc.errors import NetworkError

HUB = "hub:"
FLAG = "--remote-code"


def hub_network(place: str, remote_code: bool) -> Loaded:
    """Run an entry of a repository's ``hubconf.py``, which makes a network and loads its weights.

    ``place``: ``OWNER/REPOSITORY:ENTRY``, ``OWNER/REPOSITORY:REF:ENTRY`` or ``FOLDER:ENTRY``.

    Raises
    ------
    NetworkError
        It was not said that remote code may run, or the entry raised.
    """
    spec = f"{HUB}{place}"
    repository, _, entry = place.rpartition(":")
    if not repository:
        raise NetworkError(
            f"{spec}: expected hub:OWNER/REPOSITORY[:REF]:ENTRY, or hub:FOLDER:ENTRY"
        )
    if not remote_code:
        raise NetworkError(
            f"{spec}: runs the code of {repository} on this machine. Fix: read that code, then "
            f"{FLAG} (in Python: remote_code=True)"
        )
    is_folder = Path(repository).is_dir()
    where: dict[str, Any] = {"source": "local"} if is_folder else {"trust_repo": True}
    model = fetched(
        spec,
        lambda: torch.hub.load(repository, entry, **where),  # type: ignore[no-untyped-call]
        lambda: (
            f"Code is looked for in {repository if is_folder else torch.hub.get_dir()}, weights in "
            f"{Path(torch.hub.get_dir(), 'checkpoints')}. Fix: where there is a network, run it "
            "once in Python with torch.hub.load, and copy that folder; TORCH_HOME names another"
        ),
    )
    if not isinstance(model, nn.Module):
        raise NetworkError(f"{spec}: gives a {type(model).__name__}, expected an nn.Module")
    return Loaded(model, f"as {entry} made them", (Path(repository),) if is_folder else ())
