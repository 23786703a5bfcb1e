"""Bring two layers to the same kind: choose tokens, pool them, or arrange them on a grid.

g maps features to features of the same kind (vectors, equal numbers of tokens, maps). Maps of a
convolutional network and tokens of a vision transformer are brought to the same kind by arranging
the patch tokens on their grid (``grid``) or by means over positions and tokens (``pool``).
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kc.errors import FeatureError
from kc.names import Shape
from kc.settings.custom import Align, Tokens

SEEN_BY_BOTH = "cut to the part of the picture that both networks see"
PREFIX = 8
"""Most tokens before the patch tokens (class token, registers) that are looked for."""


TAKEN = frozenset(
    {"image_id", "label", "class_name", "subset", "superclass", "has_foreground", "zarr.json"}
)
"""Names that a store uses itself: its coordinates and zarr's description."""
LONGEST = 160
"""Most bytes of a name that is used unchanged; a file system takes 255, with suffixes."""
_UNSAFE = re.compile(r"^[.]|^__|[/\\@\x00-\x1f\x7f\ud800-\udfff]")


def storable(name: str) -> str:
    """Return a valid folder name; where the name is not one, a digest of it is added.

    >>> storable("layer1.0"), storable("subset")
    ('layer1.0', 'subset.daa5c360')
    """
    data = name.encode(errors="surrogatepass")
    if name and name not in TAKEN and len(data) <= LONGEST and not _UNSAFE.search(name):
        return name
    begun = re.sub(r"[^A-Za-z0-9.-]", "_", name)[: LONGEST // 2].lstrip("._")
    return f"{begun or 'layer'}.{hashlib.sha256(data).hexdigest()[:8]}"


class Form(NamedTuple):
    """The part of a layer's feature that is compared; the default is the unchanged feature."""

    tokens: Tokens = "all"
    layout: Literal["own", "pool", "grid"] = "own"
    prefix: int = 0
    """Number of tokens that belong to no patch; they come first."""
    cut: float | None = None
    """Part of a map's sides that is kept, about its centre, for a picture that is square; None: the
    whole map, of what its network sees."""

    @property
    def suffix(self) -> str:
        """Suffix of a layer's name in a store."""
        if self.layout == "grid":
            return "@grid" if self.cut is None else "@grid@view"
        if self.cut is not None:
            return "@view"
        parts = [part for part in (self.tokens, self.layout) if part not in ("all", "own")]
        return "".join(f"@{part}" for part in parts)

    def array(self, layer: str) -> str:
        """Return the name of the array of a layer in this form."""
        return storable(layer) + self.suffix

    def shape(self, own: Shape) -> Shape:
        """Return the shape of one image's feature in this form, from its original shape."""
        if len(own) == 1:
            return own
        width = own[0] if len(own) == 3 else own[1]
        if self.layout == "pool" or (self.tokens == "class" and len(own) == 2):
            return (width,)
        if len(own) == 3:
            return (width, *self._sides(*own[1:]))
        if self.layout == "grid":
            side = math.isqrt(own[0] - self.prefix)
            return (width, *self._sides(side, side))
        return (own[0] - self.prefix, width) if self.tokens == "patches" else own

    def _sides(self, high: int, wide: int) -> tuple[int, int]:
        """Return the height and width of a map, cut so that its cells keep about their size."""
        if self.cut is None:
            return high, wide
        return max(1, round(high * self.cut)), max(1, round(wide * self.cut))

    def __call__(
        self, feature: Float[Tensor, "n *own"], parts: Float[Tensor, "n side"] | None = None
    ) -> Float[Tensor, "n *formed"]:
        """Bring features into this form.

        ``parts``: what of the height and width of each picture's map is kept by ``cut``.
        """
        if feature.ndim == 3:
            feature = self._of_tokens(feature)
        if feature.ndim == 4 and self.layout == "pool":
            return feature.mean((2, 3))
        if self.cut is None or parts is None:
            return feature
        return cut_maps(feature, parts, self._sides(*feature.shape[2:]))

    def _of_tokens(self, feature: Tensor) -> Tensor:
        if self.tokens == "class":
            return feature[:, 0]
        if self.layout == "grid":
            side = math.isqrt(feature.shape[1] - self.prefix)
            patches = feature[:, self.prefix :].transpose(1, 2)
            return patches.reshape(len(feature), -1, side, side)
        kept = feature[:, self.prefix :] if self.tokens == "patches" else feature
        return kept.mean(1) if self.layout == "pool" else kept

    def spell(self, own: Shape) -> str:
        """Describe what was done to a feature of this shape; empty if it is unchanged."""
        if self.suffix == "":
            return ""
        if len(own) == 3:
            return "mean over positions" if self.layout == "pool" else SEEN_BY_BOTH
        which = f"{own[0] - self.prefix} tokens of patches, without the first {self.prefix}"
        if self.tokens == "class":
            return "the class token alone"
        if self.layout == "grid":
            side = math.isqrt(own[0] - self.prefix)
            cut = "" if self.cut is None else f", {SEEN_BY_BOTH}"
            return f"{which}, laid on their grid of {side} x {side}{cut}"
        kept = f"all {own[0]} tokens" if self.tokens == "all" else which
        return f"mean over {kept}" if self.layout == "pool" else kept


def cut_maps(
    maps: Float[Tensor, "n c y x"], parts: Float[Tensor, "n side"], size: tuple[int, int]
) -> Float[Tensor, "n c high wide"]:
    """Cut each map at its centre to a part of its height and width, bilinearly between cells."""
    theta = maps.new_zeros((len(maps), 2, 3))
    theta[:, 0, 0], theta[:, 1, 1] = parts[:, 1], parts[:, 0]
    grid = F.affine_grid(theta, [len(maps), maps.shape[1], *size], align_corners=False)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=False)


def prefix_of(tokens: int, told: int | None = None) -> int | None:
    """Return how many tokens come before those of a square grid of patches; None: no grid.

    ``told``: the number the network states. Without it: the fewest that leave a square.
    """
    first = [] if told is None else [told]
    for prefix in (*first, *range(PREFIX + 1)):
        rest = tokens - prefix
        if rest > 0 and math.isqrt(rest) ** 2 == rest:
            return int(prefix)
    return None


Read = Literal["nchw", "nhwc", "unclear"]
"""How a map is read; unclear: it may be (channels, y, x) or (y, x, channels)."""


class OwnLayer(NamedTuple):
    """A layer before it is brought into a form."""

    name: str
    shape: Shape
    """Of one image's feature."""
    told: int | None = None
    """Number of tokens before the patch tokens, if the network states it."""
    read: Read = "nchw"
    """How a map lies in the network or file; ``shape`` is (channels, y, x) unless unclear."""

    @property
    def prefix(self) -> int | None:
        """Number of tokens before the patch tokens; None: there is no grid, or no tokens."""
        return prefix_of(self.shape[0], self.told) if len(self.shape) == 2 else None


def is_channels_last(shape: Shape) -> bool:
    """Return whether a map is (y, x, channels): its first two sides are equal."""
    return len(shape) == 3 and shape[0] == shape[1] != shape[2]


def channels_first(
    features: Mapping[str, Tensor], layers: Mapping[str, OwnLayer]
) -> dict[str, Tensor]:
    """Bring maps (n, y, x, channels) to (n, channels, y, x)."""
    return {
        name: feature.movedim(-1, 1) if layers[name].read == "nhwc" else feature
        for name, feature in features.items()
    }


def align(
    a: OwnLayer,
    b: OwnLayer,
    tokens: Tokens = "all",
    how: Align = "auto",
    cuts: tuple[float | None, float | None] | None = None,
) -> tuple[Form, Form]:
    """Choose the forms in which two layers are compared.

    ``cuts``: if the networks see different parts of a picture, how much of each side's map is
    common to both (None: all of it); then tokens are compared on their grid too.

    ``auto`` leaves layers of the same kind unchanged (g resizes maps of another size), arranges
    tokens on their grid if the other layer is a map, and pools everything else: layers compared
    with a vector, tokens without a grid.

    Raises
    ------
    FeatureError
        A class token or a grid was requested that does not exist.
    """
    first, second = _chosen(a, tokens), _chosen(b, tokens)
    kinds = [len(form.shape(layer.shape)) for form, layer in ((first, a), (second, b))]
    counts = [form.shape(layer.shape)[0] for form, layer in ((first, a), (second, b))]
    apart = cuts is not None and kinds != [1, 1]
    if how == "auto" and apart:
        how = "grid" if _gridded(a, first) and _gridded(b, second) else "pool"
    if how == "auto":
        if kinds[0] == kinds[1] and (kinds[0] != 2 or counts[0] == counts[1]):
            return first, second
        how = "grid" if _gridded(a, first) and _gridded(b, second) else "pool"
    if how == "pool":
        return _pooled(a, first), _pooled(b, second)
    one, other = _on_grid(a, first), _on_grid(b, second)
    if cuts is None:
        return one, other
    return one._replace(cut=cuts[0]), other._replace(cut=cuts[1])


def _chosen(layer: OwnLayer, tokens: Tokens) -> Form:
    """Return the form of the requested tokens; maps and vectors have none."""
    if len(layer.shape) != 2:
        return Form()
    prefix = layer.prefix or 0
    if tokens == "class" and prefix == 0:
        raise FeatureError(
            f"'{layer.name}': {layer.shape[0]} tokens, none of them a class token before a square "
            "grid of patches. Fix: --tokens all."
        )
    return Form(tokens, prefix=prefix)


def _gridded(layer: OwnLayer, form: Form) -> bool:
    if len(layer.shape) == 2:
        return form.tokens != "class" and layer.prefix is not None
    return len(layer.shape) == 3


def _pooled(layer: OwnLayer, form: Form) -> Form:
    is_vector = len(form.shape(layer.shape)) == 1
    return form if is_vector else form._replace(layout="pool")


def _on_grid(layer: OwnLayer, form: Form) -> Form:
    if not _gridded(layer, form):
        shape = " x ".join(map(str, layer.shape))
        raise FeatureError(
            f"'{layer.name}' ({shape}) cannot be laid on a grid: expected a map, or tokens with a "
            "square number of patches. Fix: --align pool."
        )
    return form if len(layer.shape) == 3 else form._replace(tokens="patches", layout="grid")
