"""Build networks by the names of libraries, with the weights that a name tells."""

import difflib
import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from torch import nn

from kc.comparison import of_hub, of_timm, of_torchvision, of_transformers
from kc.comparison.kinds import refuse_kind
from kc.comparison.loading import Loaded, library
from kc.errors import NetworkError
from kc.networks.state import State
from kc.networks.weights import classes_of, last_layer, named_as, tensors_of
from kc.plans.commands import command


class NamedNetwork(NamedTuple):
    """The network of a library that a user names."""

    spec: str
    remote_code: bool = False
    """Whether code that comes with it may run."""
    size: int | None = None
    """Side of its pictures, px; None: as the weights say."""


class Parsed(NamedTuple):
    """A name of a library, in its parts."""

    prefix: str
    name: str
    """In the library."""
    tag: str | None
    """What names its weights; None: nothing does."""


def named(wanted: NamedNetwork, state: State | None, file: Path | None, untrained: bool) -> Loaded:
    """Build a network of a library, with the weights it names or as many classes as ``state``.

    Raises
    ------
    NetworkError
        There is no such network, it names no weights, or they cannot be loaded.
    """
    spec = wanted.spec
    prefix, name, tag = parsed(spec)
    if state is not None and file is not None:
        if tag is not None:
            raise NetworkError(
                f"{spec}: names weights, and so does {file}. Fix: one of both; the name without "
                f"weights is {prefix}{name.partition('.')[0]}"
            )
        return Loaded(_for_weights(wanted, state, file))
    if tag is None and not untrained:
        is_timm = prefix == of_timm.TIMM
        known = of_timm.timm_weights(name) if is_timm else of_torchvision.torchvision_weights(name)
        each = [f"{prefix}{name}{'.' if is_timm else '/'}{one}" for one in known]
        raise NetworkError(
            f"{spec}: names no weights, and what a network with random weights lacks says nothing "
            f"about a trained one. Fix: {' or '.join(each[-3:]) or 'no pretrained ones are known'}"
            f"{f' (of {len(each)})' if len(each) > 3 else ''}; weights of yours, --weights-a FILE "
            "(in Python: weights=FILE); or random ones, --untrained (untrained=True)"
        )
    return load_from(wanted)


def load_from(wanted: NamedNetwork, load: bool = True, **about: Any) -> Loaded:
    """Build a network of a library; ``load``: with the weights that its name tells, if any.

    ``about``: arguments of the constructors of torchvision and timm.
    """
    prefix, name, tag = parsed(wanted.spec)
    if prefix == of_transformers.TRANSFORMERS:
        return of_transformers.transformers_network(name, load, wanted.remote_code)
    if prefix == of_hub.HUB:
        return of_hub.hub_network(name, wanted.remote_code)
    if prefix == of_timm.TIMM:
        return of_timm.timm_network(name, load, wanted.size, **about)
    return of_torchvision.torchvision_network(name, tag, load, **about)


def brings_code(spec: str) -> bool:
    """Return whether a name is that of code in a repository."""
    return spec.startswith(of_hub.HUB)


def parsed(spec: str) -> Parsed:
    """Find the library that a name is of; a bare one is torchvision's, else timm's.

    Raises
    ------
    NetworkError
        No library has it.
    """
    for prefix in (of_transformers.TRANSFORMERS, of_hub.HUB):
        if spec.startswith(prefix):
            return Parsed(prefix, spec.removeprefix(prefix), spec)
    name, _, tag = spec.removeprefix(of_torchvision.TORCHVISION).partition("/")
    if not spec.startswith(of_timm.TIMM) and name in of_torchvision.torchvision_names():
        return Parsed(of_torchvision.TORCHVISION, name, tag or None)
    name = spec.removeprefix(of_timm.TIMM)
    if spec.startswith(of_torchvision.TORCHVISION) or not of_timm.is_name(name):
        _refuse_name(spec)
    return Parsed(of_timm.TIMM, name, of_timm.tag_of(name))


def _refuse_name(spec: str) -> NoReturn:
    """Refuse a name of no network, and name the nearest ones."""
    if Path(spec).exists():
        refuse_kind(Path(spec))
    there = library("timm") is not None
    wanted = re.sub(r"^(torchvision|timm):", "", spec).partition("/")[0].partition(".")[0]
    # many names are in both
    known = {*of_torchvision.torchvision_names(), *of_timm.timm_names()}
    close = difflib.get_close_matches(wanted, sorted(known), n=3)
    where = "torchvision's or timm's" if there else "torchvision's, and timm is not installed"
    raise NetworkError(
        f"'{spec}' is no network of {where}; nearest: {', '.join(close) or 'none'}. Fix: correct "
        "the name, or name a function (path/file.py:function), or transformers' (hf:ORG/MODEL)"
        f"{'.' if there else ', or: ' + command('pip', 'install', 'timm')}"
    )


def _for_weights(wanted: NamedNetwork, state: State, file: Path) -> nn.Module:
    """Build a named network with as many classes as its weights have."""
    model = load_from(wanted).model
    own = tensors_of(model)
    state = named_as(own, state, file, last_layer(own))
    classes = classes_of(state, own)
    if hasattr(model, "transform_input"):
        _refuse_transform(wanted.spec, state, file, classes)
    if classes in (None, len(list(own.values())[-1])):
        return model
    return load_from(wanted, num_classes=classes).model


def _refuse_transform(name: str, state: State, file: Path, classes: int | None) -> None:
    """Refuse weights that may need transformed pictures, which a state dict does not show."""
    about = "" if any("aux" in key.lower() for key in state) else ", aux_logits=False"
    about += "" if classes is None else f", num_classes={classes}"
    raise NetworkError(
        f"{file}: weights for the bare name {name}, which does not say whether they need their "
        "pictures transformed (transform_input): torchvision's pretrained ones do, those trained "
        "from scratch do not. Fix: name a function in your own file, "
        f"return torchvision.models.{name}(init_weights=False, transform_input=True{about}), or "
        "False, and give the weights with it."
    )
