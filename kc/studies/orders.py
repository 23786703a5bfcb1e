"""Draw the components by order [L20, Fig. 1]."""

from kc.plans.studies import plan_of
from kc.settings.whole import Settings
from kc.studies.components import draw_components


def write(settings: Settings) -> None:
    """Write ``figures/fig1_*`` under the results folder."""
    what = "Components by order: x* = x$^{(0)}$ + ... + x$^{(K)}$ + x$^\\Delta$."
    draw_components(settings, "orders", plan_of(settings, "orders"), "orders", what)
