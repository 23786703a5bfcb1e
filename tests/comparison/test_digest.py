"""A network's digest changes with everything that changes its features, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from kc.comparison import OwnNetwork, read_network, tapping
from kc.comparison.layers import tap

CODE = """
import torch
from torch import nn
LIMIT = 2.5
def inner(x):
    return x.clamp(max=LIMIT)
def act(x):
    return inner(torch.relu(x))
torch.fx.wrap("act")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)
        self.scale = torch.ones(4, 1, 1)
    def forward(self, x):
        return self.two(act(self.one(x) * self.scale))
def net():
    return Net()
def unrelated():
    return 1
"""


def digest(file, code=CODE):
    file.write_text(code)
    return tap(read_network(f"{file}:net"), ["two"], 16).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("inner(torch.relu(x))", "inner(torch.sin(20 * x))"),
        # the example does not show this: no value reaches it
        ("LIMIT = 2.5", "LIMIT = 1e9"),
        ("clamp(max=LIMIT)", "clamp(max=LIMIT, min=-1e9)"),
        ("torch.ones(4, 1, 1)", "torch.ones(4, 1, 1) * 1.5"),
        ("manual_seed(0)", "manual_seed(1)"),
    ],
)
def test_code_and_constants_outside_the_graph_change_the_digest(tmp_path, old, new):
    file = tmp_path / "net.py"
    before = digest(file)
    assert digest(file) == before
    assert old in CODE
    assert digest(file, CODE.replace(old, new)) != before


def test_other_code_and_comments_of_the_file_do_not_change_the_digest(tmp_path):
    file = tmp_path / "net.py"
    before = digest(file)
    changed = CODE.replace("return 1", "return 2").replace("LIMIT = 2.5", "LIMIT = 2.5  # why")
    assert digest(file, changed) == before


def test_the_path_of_kcs_code_does_not_change_the_digest(tmp_path, monkeypatch):
    before = digest(tmp_path / "net.py")
    monkeypatch.setattr(tapping._copied, "__module__", "kc.moved")
    assert digest(tmp_path / "net.py") == before


class Former(nn.Module):
    def __init__(self, heads=1, activation="relu", first=False):
        super().__init__()
        torch.manual_seed(0)
        self.cut = nn.Conv2d(3, 16, 8, 8)
        self.two = nn.TransformerEncoderLayer(
            16, heads, 32, 0.0, activation, batch_first=True, norm_first=first
        )

    def forward(self, x):
        return self.two(self.cut(x).flatten(2).transpose(1, 2))


class Held(nn.Module):
    """Keeps what it needs outside its state dict."""

    def __init__(self, **about):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Conv2d(3, 2, 3)
        for name, value in about.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.one(x)


def of(module, node):
    return tap(OwnNetwork("net", module.eval()), [node], 16).digest


def test_flags_of_torch_modules_change_the_digest():
    found = [Former(), Former(heads=4), Former(activation="gelu"), Former(first=True)]
    assert len({of(module, "two") for module in found}) == 4
    assert of(Former(), "two") == of(Former(), "two")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([torch.zeros(2)], [torch.ones(2)]),
        ({"a": np.zeros(2)}, {"a": np.ones(2)}),
        (1.5, 2.5),
        ({1, 2}, {1, 3}),
        ([nn.Linear(1, 1, bias=False)], [nn.Linear(1, 2, bias=False)]),
        (torch.zeros(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.bfloat16)),
        (torch.zeros(2, 2).to_sparse(), torch.eye(2).to_sparse()),
        (torch.zeros(2, dtype=torch.complex64).conj(), torch.zeros(2, dtype=torch.complex64) + 1),
    ],
)
def test_attributes_of_a_module_change_the_digest(one, other):
    assert of(Held(kept=one), "one") == of(Held(kept=one), "one")
    assert of(Held(kept=one), "one") != of(Held(kept=other), "one")


def test_a_list_that_contains_itself_can_be_hashed():
    cycle = []
    cycle.append(cycle)
    assert of(Held(kept=cycle), "one") == of(Held(kept=cycle), "one")
