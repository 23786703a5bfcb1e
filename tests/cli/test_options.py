"""Options have the names, types, defaults and descriptions of the settings."""

import inspect
from typing import Literal, get_args

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from kc.cli.compare import FIT, PLAIN, compare_command
from kc.cli.options import options_of, settings_of, with_options
from kc.errors import SettingsError
from kc.settings.custom import Pair
from kc.settings.feature_maps import Activations
from kc.settings.preparation import Prepare
from kc.settings.reconstruction import Consistency, Optimiser
from kc.settings.sections import Section


class Bird(Section):
    """Settings for the tests."""

    song: Literal["high", "low"] = Field("high", description="how it sings")
    loud: float | Literal["very"] = Field(0.5, description="how loud")
    tint: tuple[float, float, float] | None = Field(None, description="its colour")
    tall: bool = Field(False, description="whether it is tall")
    names: str | tuple[str, ...] | None = Field(None, description="what it is called")
    eggs: int = Field(description="how many")


@with_options(*options_of(Bird, *Bird.model_fields))
def look(*, out: str = "here", **given):
    typer.echo(f"{settings_of(Bird, given)!r} {out}")


def run(*arguments):
    app = typer.Typer()
    app.command()(look)
    return CliRunner().invoke(app, arguments)


def test_fields_become_options_with_their_types_defaults_and_help():
    told = run("--help").output
    assert "<high|low>" in told
    assert "number|very" in told
    assert "R G B" in told
    assert "[default: high]" in told
    assert "--no-tall" not in told
    assert run().exit_code == 2  # eggs are required
    assert run("--eggs", "two").exit_code == 2
    bird = Bird(song="low", tall=True, names=("a", "b"), eggs=2)
    found = run("--eggs", "2", "--song", "low", "--tall", "--names", "a, b", "--out", "x")
    assert found.output == f"{bird!r} x\n"
    assert run("--eggs", "2").output == f"{Bird(eggs=2)!r} here\n"


def test_of_several_types_each_can_be_given():
    assert run("--eggs", "2", "--loud", "very").output == f"{Bird(eggs=2, loud='very')!r} here\n"
    assert run("--eggs", "2", "--loud", "2.5").output == f"{Bird(eggs=2, loud=2.5)!r} here\n"
    found = run("--eggs", "2", "--tint", "1", "0", "0.5")
    assert found.output == f"{Bird(eggs=2, tint=(1, 0, 0.5))!r} here\n"


def test_typer_checks_choices():
    found = run("--eggs", "2", "--song", "no")
    assert found.exit_code == 2
    assert "'no' is not one of 'high', 'low'" in found.output


def test_an_error_of_the_settings_names_the_option():
    with pytest.raises(SettingsError, match=r"--song: Input should be 'high' or 'low' \(got 'no'"):
        settings_of(Bird, {"song": "no", "eggs": 1})


def test_compare_has_every_field_of_a_pair_each_with_its_help():
    parameters = inspect.signature(compare_command).parameters
    own = {"dtype", *FIT, "epochs", "rank", "out", "device", "threads"}
    own |= {"models", "layer", "references"}
    groups = {name: get_args(one.annotation)[-1].rich_help_panel
              for name, one in parameters.items()}  # fmt: skip
    assert all(groups.values())
    assert (groups["a"], groups["out"]) == ("What is compared", "What is compared")
    assert (groups["size"], groups["size_b"]) == ("Pictures", "Pictures of one side")
    sides = {f"{name}_{letter}" for name in Prepare.model_fields for letter in "ab"}
    assert set(PLAIN) | sides | own == set(parameters)
    assert set(Pair.model_fields) - set(PLAIN) == {"prepare_a", "prepare_b"}
    for section, names in [
        (Pair, list(Pair.model_fields)),
        (Activations, ["dtype"]),
        (Consistency, list(FIT)),
        (Optimiser, ["epochs"]),
    ]:
        for name in names:
            assert section.model_fields[name].description, name
