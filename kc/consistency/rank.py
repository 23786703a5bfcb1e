"""How wide the middle of a factorised W is, where W is factorised at all.

On wide maps a whole 3x3 W costs 9 C^2 products at a position, and has more weights than the images
have positions to set them by.
"""

from collections.abc import Iterable
from math import log2, prod

from kc.consistency.net import channels_of
from kc.consistency.order import VALIDATION_SHARE
from kc.errors import SettingsError
from kc.names import Shape
from kc.settings.reconstruction import Consistency

WIDE = 512
"""Channels of the wider map above which ``auto`` factorises."""
POSITIONS_EACH = 20
"""Positions to fit on for each channel of the middle."""
LEAST, MOST = 64, 128
"""Of what is chosen; above it, steps take longer than what is gained is worth."""
Rank = int | None
"""None: W is whole."""


def common_rank(pairs: Iterable[tuple[Shape, Shape]], images: int, settings: Consistency) -> Rank:
    """Choose one r for all pairs of a table, by the fewest positions of a wide one.

    Parameters
    ----------
    pairs
        Shapes of one image's source and target features.
    images
        Training images, the validation cut among them.
    settings
        ``rank``: a number is taken as it is, ``full`` is None; ``auto`` is positions / 20 rounded
        to a power of two, from 64 to 128, None where no pair is wide.

    Raises
    ------
    SettingsError
        A number above the channels of all features, which would only cost more than a whole W.
    """
    pairs = list(pairs)
    if isinstance(settings.rank, int):
        widest = max(channels_of(shape) for pair in pairs for shape in pair)
        if settings.rank > widest:
            raise SettingsError(
                f"rank {settings.rank:,}: the widest feature has {widest:,} channels; expected at "
                "most these. Fix: --rank full, or a lower one."
            )
        return settings.rank
    if settings.rank == "full":
        return None
    fitted = images * (1 - VALIDATION_SHARE)
    positions = [
        fitted * prod(target) / channels_of(target)
        for source, target in pairs
        if is_wide(source, target)
    ]
    if not positions:
        return None
    rounded = int(2.0 ** round(log2(max(1.0, min(positions) / POSITIONS_EACH))))
    return max(LEAST, min(MOST, rounded))


def with_rank(settings: Consistency, source: Shape, target: Shape, rank: Rank) -> Consistency:
    """Put the common r in the place of ``auto``, which leaves narrow pairs whole."""
    if settings.rank != "auto":
        return settings
    chosen = rank if rank is not None and is_wide(source, target) else "full"
    return settings.model_copy(update={"rank": chosen})


def is_wide(source: Shape, target: Shape) -> bool:
    """Return whether a pair is too wide for whole convolutions; vectors and tokens never are."""
    return len(target) == 3 and max(channels_of(source), channels_of(target)) > WIDE
