"""The record of `claims`: the verdicts on all claims of the papers, from the other tables."""

from typing import Annotated

from pydantic import Field

from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Distinct, Name, StudySection


class Claims(StudySection):
    """Verdicts on the claims of the papers, collected from tables of other studies."""

    tables: Annotated[tuple[Name, ...], Field(min_length=1), Distinct] = (
        "table1",
        "diagnosis",
        "table3",
        "table4",
        "compression",
        "born_again",
        "cross_task",
        "concepts_table3",
    )
    """Tables that test claims."""


def _plan(about: Claims, others: Others) -> StudyPlan:  # noqa: ARG001
    return StudyPlan({}, inputs=tuple(f"tables/{name}.json" for name in about.tables))


STUDY = Study(
    name="claims",
    place=5,
    title="What the papers claim",
    caption="Every claim of the papers that a study tests, with what this run says of it.",
    settings=Claims,
    plan=_plan,
    tables=("claims",),
    details=("claims_cases",),
    beside_others=True,
    environment="report",
)
