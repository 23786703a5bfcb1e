"""The record of `concepts`: visual concepts in distillation, Tables 2 and 3 of [C20]."""

from kc.plans.concept_products import card_paths, concept_figures, concept_networks, map_paths
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.concepts import Concepts

CAPTION = (
    "Visual concepts in knowledge distillation [C20, Tables 2 and 3]: cells of an image whose "
    "content a layer keeps, in foreground and background, for teacher, student and baseline."
)


def _plan(about: Concepts, _: Others) -> StudyPlan:
    """Plan the study's own networks and the maps of their layers; it fits no pairs."""
    networks = concept_networks(about)
    images = [f"images/{dataset}.json" for dataset in about.datasets]
    inputs = (*card_paths(networks), *map_paths(networks, about), *images)
    figures = {name: f"{CAPTION} File {name}." for name in concept_figures(about)}
    return StudyPlan({}, inputs=inputs, figures=figures)


STUDY = Study(
    name="concepts",
    place=100,
    title="Visual concepts",
    caption=CAPTION,
    settings=Concepts,
    plan=_plan,
    tables=("concepts_table2", "concepts_table3"),
    details=("concepts_seeds",),
    plots={
        "concepts_table2": f"{CAPTION} Concepts on the object of Table 2's networks.",
        "concepts_table3": f"{CAPTION} Concepts on the object of Table 3's networks.",
        "concepts_speed": f"{CAPTION} Weight distance to the richest checkpoint, over the last's.",
        "concepts_detours": f"{CAPTION} Share of the concepts ever learned that remain.",
    },
)
