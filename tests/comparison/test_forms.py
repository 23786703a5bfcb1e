"""Tokens, grids and means: the forms in which two layers are compared."""

import re

import pytest
import torch

from kc.comparison.forms import Form, OwnLayer, align, prefix_of, storable
from kc.errors import FeatureError

MAP, OTHER_MAP = OwnLayer("conv", (6, 4, 4)), OwnLayer("conv2", (8, 7, 7))
TOKENS, VECTOR = OwnLayer("tokens", (17, 5), told=1), OwnLayer("fc", (9,))


def test_tokens_are_chosen():
    values = torch.arange(2 * 17 * 5.0).reshape(2, 17, 5)
    assert torch.equal(Form()(values), values)
    assert torch.equal(Form("class", prefix=1)(values), values[:, 0])
    assert torch.equal(Form("patches", prefix=1)(values), values[:, 1:])
    assert torch.equal(Form("patches", "pool", 1)(values), values[:, 1:].mean(1))
    assert torch.equal(Form("all", "pool", 1)(values), values.mean(1))


def test_a_grid_puts_each_patch_where_it_was():
    """A transformer numbers its patches along rows: patch 6 of 4 x 4 is in row 1, column 2."""
    values = torch.randn(2, 17, 5)
    laid = Form("patches", "grid", 1)(values)
    assert laid.shape == (2, 5, 4, 4)
    assert torch.equal(laid[:, :, 1, 2], values[:, 1 + 6])
    assert not torch.equal(laid[:, :, 2, 1], values[:, 1 + 6])


def test_shapes_and_suffixes_match_the_converted_features():
    forms = [
        *(Form(tokens, layout, 1) for tokens in ("all", "patches") for layout in ("own", "pool")),
        *(Form("class", prefix=1), Form("patches", "grid", 1)),
    ]
    assert len({form.suffix for form in forms}) == len(forms)
    for form in forms:
        assert form(torch.zeros(3, 17, 5)).shape[1:] == form.shape((17, 5)), form
    for form in (Form(), Form(layout="pool")):
        assert form(torch.zeros(3, 6, 4, 4)).shape[1:] == form.shape((6, 4, 4))
        assert form(torch.zeros(3, 9)).shape[1:] == form.shape((9,)) == (9,)


@pytest.mark.parametrize(
    ("tokens", "told", "prefix"),
    [(197, None, 1), (196, None, 0), (196, 1, 0), (201, None, 5), (198, 2, 2), (12, None, 3)],
)
def test_the_number_of_tokens_before_the_patches_is_found(tokens, told, prefix):
    assert prefix_of(tokens, told) == prefix


def test_the_number_that_a_network_states_has_priority():
    # 4 registers and a class token before 2 x 2 patches; the fewest would make it 3 x 3
    assert prefix_of(9) == 0
    assert prefix_of(9, told=5) == 5
    assert prefix_of(60) is None  # 60 - 8 = 52 to 60: no square


def test_auto_changes_as_little_as_it_can():
    plain = Form()
    assert align(MAP, OTHER_MAP) == (plain, plain)
    assert align(VECTOR, VECTOR) == (plain, plain)
    first, second = align(TOKENS, TOKENS)
    assert (first.suffix, second.suffix) == ("", "")
    first, second = align(MAP, TOKENS)
    assert (first.suffix, second.suffix) == ("", "@grid")
    first, second = align(MAP, VECTOR)
    assert (first.suffix, second.suffix) == ("@pool", "")
    first, second = align(TOKENS, MAP, tokens="class")
    assert (first.suffix, second.suffix) == ("@class", "@pool")
    other = OwnLayer("finer", (65, 5))
    assert [form.suffix for form in align(TOKENS, other)] == ["@grid", "@grid"]
    without = OwnLayer("words", (60, 5))
    assert [form.suffix for form in align(MAP, without)] == ["@pool", "@pool"]


def test_options_override_the_choice_of_forms():
    assert [form.suffix for form in align(MAP, TOKENS, how="pool")] == ["@pool", "@pool"]
    assert [form.suffix for form in align(MAP, OTHER_MAP, how="pool")] == ["@pool", "@pool"]
    assert [form.suffix for form in align(MAP, TOKENS, "patches", "pool")] == [
        "@pool",
        "@patches@pool",
    ]
    assert [form.suffix for form in align(TOKENS, TOKENS, how="grid")] == ["@grid", "@grid"]


def test_impossible_forms_are_refused():
    with pytest.raises(FeatureError, match=r"'fc' \(9\) cannot be laid on a grid: expected a map"):
        align(MAP, VECTOR, how="grid")
    with pytest.raises(FeatureError, match=r"'words' \(60 x 5\) cannot be laid on a grid"):
        align(MAP, OwnLayer("words", (60, 5)), how="grid")
    with pytest.raises(FeatureError, match=r"'t': 16 tokens, none of them a class token before a"):
        align(OwnLayer("t", (16, 5)), MAP, tokens="class")


def test_forms_are_described_in_words():
    assert Form().spell((17, 5)) == ""
    assert Form(layout="pool").spell((6, 4, 4)) == "mean over positions"
    assert Form("class", prefix=1).spell((17, 5)) == "the class token alone"
    told = "16 tokens of patches, without the first 1"
    assert Form("patches", prefix=1).spell((17, 5)) == told
    assert Form("patches", "grid", 1).spell((17, 5)) == f"{told}, laid on their grid of 4 x 4"
    assert Form("all", "pool", 1).spell((17, 5)) == "mean over all 17 tokens"


def test_names_that_no_folder_can_have_are_replaced():
    """Valid names stay unchanged; no two names share a folder."""
    kept = ["layer1.0", "features.30", "ä b", "$a$", "C:", "Label"]
    assert [storable(name) for name in kept] == kept
    odd = ["", ".", "..", "a/b", "a\\b", "a_b\n", "x@pool", "__x", "subset", "image_id", "label"]
    odd += ["x" * 300, "x" * 301, "ä" * 100, "\udcff", "zarr.json", "class_name"]
    made = [storable(name) for name in odd]
    assert len(set(made)) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9][\w.-]{8,90}", name, re.ASCII) for name in made)
    assert Form(layout="pool").array("subset") == f"{storable('subset')}@pool"
