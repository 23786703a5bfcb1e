"""Choose the linear maps of a comparison's ladder: all, or those cheaper than a fit."""

from kc.comparison.estimate import (
    SLOWER,
    flattened_operations,
    linear_operations,
    operations_of,
)
from kc.comparison.fits import direction_product, shapes_of
from kc.comparison.memory import free_bytes, linear_bytes
from kc.comparison.workplace import Direction, Workplace
from kc.consistency.rungs import FLAT, Ladder, climb, possible_fields, spell_field
from kc.images.rows import rows_in
from kc.names import spell_bytes
from kc.plans.variants import orders_and_path

LEAST = 5e9
"""Operations that are always allowed: about a second, which a fit of any size takes."""


def ladder_of(of: Direction, at: Workplace) -> Ladder:
    """Measure the linear maps of a direction, and with ``settings.ladder`` fit every g of it.

    Without it, only the maps that cost less than the direction's own fit are made.
    """
    fields, left_out = _fields(of, at)
    variants = orders_and_path(at.settings.consistency) if at.settings.ladder else []
    return climb(direction_product(of, at), at.out, fields, variants, left_out)


def _fields(of: Direction, at: Workplace) -> tuple[list[int], list[str]]:
    """Choose the linear maps: all that can be made, or those that cost less than the fit."""
    settings, shapes = at.settings, shapes_of(of)
    fields, left_out = possible_fields(settings.consistency, *shapes)
    images = len(rows_in(of.target.rows, "train"))
    taken = {f: linear_bytes(*shapes, images, f) for f in fields if f != FLAT}
    free = free_bytes(at.device)
    left_out += [
        f"{spell_field(f, shapes[1])} (about {spell_bytes(size)} of memory, "
        f"{spell_bytes(free)} are free)"
        for f, size in taken.items()
        if size > free
    ]
    fields = [f for f in fields if taken.get(f, 0) <= free]
    if settings.ladder:
        return fields, left_out
    # a linear map consists of matrix products
    most = max(LEAST, SLOWER * operations_of(*shapes, images, settings))
    cost = {
        field: linear_operations(*shapes, images, field)
        if field != FLAT
        else flattened_operations(*shapes, images)
        for field in fields
    }
    left_out += [
        f"{spell_field(field, shapes[1])} (it costs more than the fit: --ladder)"
        for field in fields
        if cost[field] > most
    ]
    return [field for field in fields if cost[field] <= most], left_out
