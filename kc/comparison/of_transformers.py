"""Networks of Hugging Face transformers: a repository's name, or a folder of save_pretrained."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from kc.comparison.loading import (
    Loaded,
    cached,
    fetched,
    look_in_cache,
    needed,
    reachable_or_cached,
)
from kc.errors import NetworkError
from kc.settings.preparation import Preparation

TRANSFORMERS = "hf:"
PICTURES = "pixel_values"
"""Name of the argument that takes pictures, in all networks of transformers."""
TOWERS = ("vision_model", "vision_tower", "visual", "image_encoder")
"""Names of the part of a network for texts and pictures that takes pictures alone."""
CONFIG, WEIGHTS = "config.json", ("model.safetensors", "pytorch_model.bin")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def transformers_network(place: str, load: bool = True, remote_code: bool = False) -> Loaded:
    """Build a network with its weights; of one that also takes texts, the part for pictures.

    Parameters
    ----------
    place
        A folder, or a repository on Hugging Face (``facebook/dinov2-small``), from their cache or
        downloaded.
    load
        False: random weights; only the configuration is needed.
    remote_code
        Run the Python code that the repository brings, if its network needs it.

    Raises
    ------
    NetworkError
        transformers is not installed, a file is missing, or the network takes no pictures.
    """
    spec = f"{TRANSFORMERS}{place}"
    transformers = needed("transformers", spec)
    with reachable_or_cached():
        about = {"trust_remote_code": remote_code}

        def make() -> nn.Module:
            if load:
                model: nn.Module = transformers.AutoModel.from_pretrained(place, **about)
                return model
            config = transformers.AutoConfig.from_pretrained(place, **about)
            made: nn.Module = transformers.AutoModel.from_config(config, **about)
            return made

        model = fetched(spec, make, lambda: _missing(place, remote_code))
        prepared = _prepared(transformers, place, spec, about)
    part, name = _tower(model, spec)
    return Loaded(
        part,
        "as saved there" if load else "",
        tuple(_files(place)) if load else (),
        prepared,
        name,
        is_of_others=True,
    )


def _tower(model: nn.Module, spec: str) -> tuple[nn.Module, str]:
    """Return the part of a network that takes pictures alone, and its name; empty: the whole."""
    if getattr(model, "main_input_name", PICTURES) == PICTURES:
        return model, ""
    for name in TOWERS:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            return part, name
    raise NetworkError(
        f"{spec}: a {type(model).__name__}, which takes '{getattr(model, 'main_input_name', '')}' "
        "and has no part known to take pictures alone. Fix: a function of yours that returns that "
        "part, path/file.py:function"
    )


def _files(place: str) -> list[Path]:
    if Path(place).is_dir():
        return [Path(place)]
    return cached(place, CONFIG, *WEIGHTS)


def _missing(place: str, remote_code: bool) -> str:
    folder = Path(place)
    if folder.is_dir():
        there = sorted(path.name for path in folder.iterdir())
        if CONFIG in there and not remote_code and "auto_map" in (folder / CONFIG).read_text():
            return "It brings code of its own. Fix: read that code, then --remote-code"
        return (
            f"A folder of save_pretrained has {CONFIG} and {' or '.join(WEIGHTS)}; there are "
            f"{', '.join(there[:9]) or 'no files'} in {folder}."
        )
    if "/" not in place or place.startswith((".", "/", "~")):
        return f"There is no folder {place}. Fix: a folder of save_pretrained, or hf:ORG/MODEL"
    return look_in_cache(place, CONFIG, *WEIGHTS)


def _prepared(
    transformers: Any, place: str, spec: str, about: Mapping[str, Any]
) -> Preparation | None:
    """Read how the repository's image processor prepares pictures; None: it brings none."""
    try:
        told = transformers.AutoImageProcessor.from_pretrained(place, **about).to_dict()
    # OSError, ValueError, KeyError, as the libraries' versions have it; the user says it then
    except Exception:
        if any(_there(place, name) for name in PROCESSORS):
            raise
        return None
    return of_processor(told, spec)


def _there(place: str, name: str) -> bool:
    return (Path(place) / name).is_file() or (
        not Path(place).is_dir() and bool(cached(place, name))
    )


def of_processor(told: Mapping[str, Any], spec: str) -> Preparation:
    """Translate the settings of an image processor.

    Raises
    ------
    NetworkError
        It prepares pictures in a way that kc does not have, such as one size for each.
    """
    if not told.get("do_resize", True) or told.get("do_pad"):
        raise NetworkError(_unlike(spec, told))
    size, crop = dict(told["size"]), dict(told.get("crop_size") or {})
    keep = "shortest_edge" in size
    sides = {size["shortest_edge"]} if keep else {size.get("height"), size.get("width")}
    cut = {crop.get("height"), crop.get("width")} if told.get("do_center_crop") and crop else sides
    is_fixed = "longest_edge" not in size and (not keep or bool(told.get("do_center_crop")))
    if len(sides) != 1 or len(cut) != 1 or None in sides | cut or not is_fixed:
        raise NetworkError(_unlike(spec, told))
    scaled = told.get("rescale_factor", 1 / 255) * 255 if told.get("do_rescale", True) else 255.0
    normal = told.get("do_normalize", True)
    mean = told["image_mean"] if normal else (0.0, 0.0, 0.0)
    std = told["image_std"] if normal else (1.0, 1.0, 1.0)
    filters = {int(one): one.name.lower() for one in Image.Resampling}
    return Preparation(
        size=next(iter(cut)),
        resize=next(iter(sides)),
        aspect="keep" if keep else "squash",
        interpolation=filters[int(told.get("resample", Image.Resampling.BILINEAR))],
        # kc's pixels are 0 to 1: (s x - mean) / std
        mean=tuple(value / scaled for value in mean),
        std=tuple(value / scaled for value in std),
    )


def _unlike(spec: str, told: Mapping[str, Any]) -> str:
    names = ("do_resize", "size", "do_center_crop", "crop_size", "do_pad")
    about = json.dumps({name: told[name] for name in names if told.get(name)}, default=str)
    return (
        f"{spec}: its image processor gives pictures of several sizes, or no squares ({about}); "
        "expected one square for all. Fix: a function of yours that makes the network, "
        "path/file.py:function, and --size, --mean, --std"
    )
