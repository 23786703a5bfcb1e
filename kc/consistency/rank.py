"""Choose whether W is factorised, and its rank r.

On wide maps a full 3x3 W costs 9 C^2 products at each position, and has more weights than the
images have positions to fit them.
"""

from collections.abc import Iterable
from math import log2

from kc.consistency.net import channels_of, positions_of
from kc.consistency.order import VALIDATION_SHARE
from kc.errors import SettingsError
from kc.names import Shape
from kc.settings.reconstruction import Consistency

WIDE = 512
"""Channels of the wider map above which ``auto`` factorises."""
POSITIONS_EACH = 20
"""Positions to fit on for each of the r channels."""
LEAST, MOST = 64, 128
"""Smallest and largest r that is chosen; a larger one gains less than its steps cost."""
Rank = int | None
"""None: W is not factorised."""


def common_rank(pairs: Iterable[tuple[Shape, Shape]], images: int, settings: Consistency) -> Rank:
    """Choose one r for all pairs of a table, by the wide pair with the fewest positions.

    Parameters
    ----------
    pairs
        Shapes of one image's source and target features.
    images
        Number of training images, including the validation cut.
    settings
        ``rank``: a number is used unchanged, ``full`` is None; ``auto`` is positions / 20 rounded
        to a power of two, from 64 to 128, or None if no pair is wide.

    Raises
    ------
    SettingsError
        A number above the channels of all features, which only costs more than a full W.
    """
    pairs = list(pairs)
    if isinstance(settings.rank, int):
        widest = max(channels_of(shape) for pair in pairs for shape in pair)
        if settings.rank > widest:
            raise SettingsError(
                f"rank {settings.rank:,}: the widest feature has {widest:,} channels; expected at "
                "most that many. Fix: --rank full, or a lower one."
            )
        return settings.rank
    if settings.rank == "full":
        return None
    fitted = images * (1 - VALIDATION_SHARE)
    positions = [fitted * positions_of(pair[1]) for pair in pairs if is_wide(*pair)]
    if not positions:
        return None
    rounded = int(2.0 ** round(log2(max(1.0, min(positions) / POSITIONS_EACH))))
    return max(LEAST, min(MOST, rounded))


def with_rank(settings: Consistency, source: Shape, target: Shape, rank: Rank) -> Consistency:
    """Replace ``auto`` by the common r for wide pairs, and by ``full`` for others."""
    if settings.rank != "auto":
        return settings
    chosen = rank if rank is not None and is_wide(source, target) else "full"
    return settings.model_copy(update={"rank": chosen})


def is_wide(source: Shape, target: Shape) -> bool:
    """Return whether a pair is too wide for full convolutions; only maps can be."""
    return len(target) == 3 and max(channels_of(source), channels_of(target)) > WIDE
