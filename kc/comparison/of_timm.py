"""Networks by names of timm, with its weights or without."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kc.comparison.loading import (
    Loaded,
    cached,
    fetched,
    library,
    look_in_cache,
    needed,
    reachable_or_cached,
)
from kc.errors import NetworkError
from kc.settings.preparation import Preparation

TIMM = "timm:"
PLACES = ("hf-hub:", "local-dir:")
"""Names of timm that are places, and always have weights."""
FILES = ("model.safetensors", "pytorch_model.bin")


def timm_names() -> list[str]:
    """List the networks; none if timm is not installed."""
    timm = library("timm")
    return list(timm.list_models()) if timm is not None else []


def is_name(name: str) -> bool:
    """Return whether timm is installed and has this network; a tag after a dot may follow."""
    timm = library("timm")
    return timm is not None and (name.startswith(PLACES) or bool(timm.is_model(name)))


def tag_of(name: str) -> str | None:
    """Return the tag of the weights in a name, or the place of the weights; None: no weights."""
    return name if name.startswith(PLACES) else name.partition(".")[2] or None


def timm_weights(name: str) -> list[str]:
    """List the tags of a network's weights."""
    bare = name.partition(".")[0]
    found = needed("timm", name).list_pretrained(f"{bare}.*")
    return [each.partition(".")[2] for each in found]


def timm_network(name: str, load: bool = True, size: int | None = None, **about: Any) -> Loaded:
    """Build a network; with the weights of its tag, if it has one and ``load``.

    ``size``: of its pictures; needed by transformers whose grid of tokens is fixed.

    Raises
    ------
    NetworkError
        There are no such weights, or they cannot be loaded.
    """
    timm, tag, spec = needed("timm", name), tag_of(name), f"{TIMM}{name}"
    if tag is not None and not name.startswith(PLACES) and tag not in timm_weights(name):
        known = ", ".join(timm_weights(name)) or "none"
        raise NetworkError(
            f"{spec}: timm has no weights '{tag}'; expected one of {known}. "
            f"Fix: {TIMM}{name.partition('.')[0]}.TAG"
        )
    if tag is None or not load:
        model = timm.create_model(name, pretrained=False, **about)
        about |= _sized(model.pretrained_cfg, size)
        if "img_size" in about:
            model = timm.create_model(name, pretrained=False, **about)
        return Loaded(model, prepared=None if tag is None else _prepared(timm, model, spec))
    config = {} if name.startswith(PLACES) else timm.models.get_pretrained_cfg(name).to_dict()
    about |= _sized(config, size)
    with reachable_or_cached():
        model = fetched(
            spec,
            lambda: timm.create_model(name, pretrained=True, **about),
            lambda: _missing(name, config),
        )
    origin = f"{tag} of timm"
    return Loaded(model, origin, tuple(_files(name, config)), _prepared(timm, model, spec))


def _sized(config: Mapping[str, Any], size: int | None) -> dict[str, int]:
    """Return the argument that resizes a fixed grid of tokens; empty if none is needed."""
    taken = config.get("input_size", (3, size, size))[-1]
    return {"img_size": size} if size and config.get("fixed_input_size") and size != taken else {}


def _repository(name: str, config: Mapping[str, Any]) -> str:
    """Return the repository of Hugging Face that holds the weights; empty if none does."""
    if name.startswith(PLACES[0]):
        return name.removeprefix(PLACES[0]).partition("@")[0]
    return str(config.get("hf_hub_id") or "")


def _files(name: str, config: Mapping[str, Any]) -> list[Path]:
    if name.startswith(PLACES[1]):
        return [Path(name.removeprefix(PLACES[1]))]
    repository = _repository(name, config)
    return cached(repository, *FILES) if repository else [_checkpoint(config)]


def _checkpoint(config: Mapping[str, Any]) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", str(config.get("url")).rpartition("/")[2])


def _missing(name: str, config: Mapping[str, Any]) -> str:
    if name.startswith(PLACES[1]):
        return f"config.json and {' or '.join(FILES)} were looked for in {_files(name, config)[0]}."
    if _repository(name, config):
        return look_in_cache(_repository(name, config), *FILES)
    file = _checkpoint(config)
    return f"{file.name} was looked for in {file.parent}. Fix: download {config.get('url')} into it"


def _prepared(timm: Any, model: Any, spec: str) -> Preparation:
    """Read how timm's own evaluation prepares pictures.

    Raises
    ------
    NetworkError
        It prepares them in a way that kc does not have.
    """
    config = timm.data.resolve_model_data_config(model)
    size, mode = config["input_size"][1:], config["crop_mode"]
    if size[0] != size[1] or mode not in ("center", "squash") or config["crop_pct"] > 1:
        raise NetworkError(
            f"{spec}: its pictures are {size[0]} x {size[1]} px, crop mode '{mode}', of "
            f"{config['crop_pct']:g}; expected squares cut at the centre (center or squash). Fix: "
            "a function of yours that makes it, path/file.py:function, and --size, --mean, --std"
        )
    return Preparation(
        size=size[0],
        resize=math.floor(size[0] / config["crop_pct"]),
        aspect="squash" if mode == "squash" else "keep",
        interpolation=_filter(config["interpolation"]),
        mean=_three(config["mean"]),
        std=_three(config["std"]),
    )


def _filter(name: str) -> Any:
    """Return the filter of timm's evaluation; a filter drawn at random is for training."""
    return "bilinear" if name == "random" else name


def _three(values: Sequence[float]) -> Any:
    """Return one number for each colour, of networks for grey pictures too."""
    return tuple(values) * 3 if len(values) == 1 else tuple(values)
