"""The record of `known_difference`: measures tried on differences that are known."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from kc.names import Architecture
from kc.plans.handicaps import GREY, fewer, without
from kc.plans.products import FitPlan, NetworkPlan
from kc.plans.study import Others, Study, StudyPlan
from kc.settings.sections import Count, Distinct, Layer, Name, Seed, Share, StudySection

Factor = Literal["grey", "classes"]
"""What some networks cannot know: colour, or some of the classes."""


def _paired[T: tuple[int, ...]](seeds: T) -> T:
    if len(seeds) % 2:
        raise ValueError(
            f"expected an even number of seeds, two for each group, got {len(seeds)}. Fix: one "
            "more or one less"
        )
    return seeds


class KnownDifference(StudySection):
    """Which measures detect a difference that is known: a truth to test on."""

    dataset: Name = "birds"
    architecture: Architecture = "resnet18"
    layer: Layer = "last_conv"
    seeds: Annotated[
        tuple[Seed, ...], Field(min_length=2, max_length=64), Distinct, AfterValidator(_paired)
    ] = Field(
        (0, 1, 2, 3, 4, 5, 6, 7),
        description="of the networks, two for each group; groups share no network, and an interval "
        "needs three",
    )
    factors: Annotated[tuple[Factor, ...], Field(min_length=1), Distinct] = Field(
        ("grey",),
        description="what handicapped networks cannot know: colour (grey), or the first classes by "
        "label, left out of training (classes)",
    )
    left_out: Count = Field(4, description="factor classes: number of classes left out")
    placebo_images: dict[Factor, Share] = Field(
        {"grey": 0.5, "classes": 0.8},
        description="share of the training pictures that the placebo of each factor sees; choose "
        "it by accuracy alone, to be that of the handicapped networks",
    )
    added: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], ...], Field(min_length=1), Distinct
    ] = Field(
        (0, 0.05, 0.1, 0.2, 0.4, 0.8),
        description="titration: shares of variance from other pictures that are added to a feature",
    )
    deleted: Annotated[tuple[Count, ...], Distinct] = Field(
        (1, 4, 16), description="titration: numbers of channels that are deleted from a feature"
    )

    def layers_named(self) -> Iterator[tuple[str, Architecture, tuple[str, ...]]]:
        """Return the key that names a layer, with the architecture and the layer."""
        yield "layer", self.architecture, (self.layer,)

    @property
    def titrated(self) -> NetworkPlan:
        """The network whose feature is titrated."""
        return NetworkPlan(self.dataset, self.architecture, self.seeds[0])

    def handicap(self, factor: Factor) -> str:
        """Return the handicap of the networks that cannot know a factor."""
        return GREY if factor == "grey" else without(self.left_out)

    def placebo(self, factor: Factor) -> str:
        """Return the handicap of its placebo."""
        return fewer(self.placebo_images[factor])

    @model_validator(mode="after")
    def _every_factor_has_a_placebo(self) -> "KnownDifference":
        for factor in self.factors:
            if factor not in self.placebo_images:
                raise ValueError(
                    f"placebo_images has no '{factor}', which is among factors. Fix: add a share "
                    f"for it, e.g. {{{factor}: 0.5}}"
                )
        return self


class Group(NamedTuple):
    """The fits of one group of networks, which shares no network with another group."""

    name: str
    fits: Mapping[str, FitPlan]
    """By role: ``h_to_f``, ``f_to_h``, ``p_to_f``, ``f_to_p``, ``f_to_f``, ``h_to_h``, with h the
    handicapped network, f a full one, p the placebo. Both fits to f, and both to h, have the same
    target, so that what is special about a target cancels in their difference."""


def groups_of(about: KnownDifference, factor: Factor) -> list[Group]:
    """List the groups of a factor, one for each two seeds."""
    found = []
    for first, second in zip(about.seeds[::2], about.seeds[1::2], strict=True):

        def network(seed: int, handicap: str = "") -> NetworkPlan:
            return NetworkPlan(about.dataset, about.architecture, seed, handicap=handicap)

        h, p = about.handicap(factor), about.placebo(factor)
        ends = {
            "h_to_f": (network(first, h), network(first)),
            "f_to_h": (network(first), network(first, h)),
            "p_to_f": (network(first, p), network(first)),
            "f_to_p": (network(first), network(first, p)),
            "f_to_f": (network(second), network(first)),
            "h_to_h": (network(second, h), network(first, h)),
        }
        fits = {role: FitPlan(*pair, about.layer, about.layer) for role, pair in ends.items()}
        found.append(Group(f"seeds {first}, {second}", fits))
    return found


def titration_name(about: KnownDifference) -> str:
    """Return the name of the titration's folder."""
    return f"{about.titrated.name}--{about.layer}"


def titration_fits(name: str, added: Iterable[float], deleted: Iterable[int]) -> list[str]:
    """Return the names of the fits of a titration, in its order."""
    shares = [f"{name}--added{share:g}" for share in added]
    return shares + [f"{name}--deleted{count}" for count in deleted]


def _plan(about: KnownDifference, _: Others) -> StudyPlan:
    """Plan each fit once: factors share the full networks."""
    cases: dict[str, dict[str, FitPlan]] = {}
    for factor in about.factors:
        for number, group in enumerate(groups_of(about, factor)):
            for role, fit in group.fits.items():
                shown = number == 0 and role == "h_to_f"
                kept = FitPlan(fit.source, fit.target, about.layer, about.layer, keep=shown)
                ends = (end.handicap or "full" for end in (fit.source, fit.target))
                cases.setdefault("_to_".join(ends), {})[fit.name] = kept
    inputs = (f"titrations/{titration_name(about)}/card.json", f"images/{about.dataset}.json")
    found = {case: tuple(fits.values()) for case, fits in cases.items()}
    return StudyPlan(found, stores=True, inputs=inputs)


STUDY = Study(
    name="known_difference",
    place=85,
    title="Known differences",
    caption="Measures tried on differences that are known: a feature to which a known share was "
    "added, and networks that cannot know colour beside networks that can.",
    settings=KnownDifference,
    plan=_plan,
    tables=("known_difference", "titration", "handicaps"),
    details=("known_difference_fits",),
    plots={
        "known_difference": "Contrasts by measure, with 95 % intervals over groups of networks; "
        "dots: single groups.",
        "titration": "Measured difference against the true share that was added; thin line: the "
        "truth.",
    },
    pictures="known_difference",
)
