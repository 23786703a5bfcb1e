"""Networks of transformers, from tiny configurations with random weights, are tapped by hooks."""

import pytest
import torch

from kc.comparison import CompareSettings, OwnNetwork, layers_of
from kc.comparison.layers import tap
from kc.comparison.sides import open_side
from kc.errors import NetworkError

pytestmark = pytest.mark.long  # its import takes ten seconds
SMALL = {
    **{"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2},
    **{"intermediate_size": 32, "image_size": 32, "patch_size": 8},
}
WIDE = {name: value for name, value in SMALL.items() if name != "intermediate_size"}
STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
KINDS = {
    "ViT": SMALL,
    "Dinov2": WIDE,
    "Dinov2WithRegisters": WIDE,
    "Beit": SMALL,
    "DeiT": SMALL,
    "DPT": SMALL | {"is_hybrid": False},
    "Swin": {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1],
             "num_heads": [2, 2], "window_size": 4},
    "ConvNext": STAGES,
    "Segformer": STAGES | {"num_attention_heads": [1, 1, 2, 2]},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _transformers():
    pytest.importorskip("transformers", reason="transformers is not installed")


def made(kind, about, seed=0):
    import transformers

    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**about)
    return getattr(transformers, f"{kind}Model")(config).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_those_the_network_returns(kind):
    model = made(kind, KINDS[kind])
    network = OwnNetwork(kind, model)
    names = [name for name, _ in layers_of(network, 32)]
    tapped = tap(network, ["forward:last_hidden_state", names[len(names) // 2]], 32)
    assert tapped.way.how == "hooks"
    pictures = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        found = tapped.extract(pictures)["forward:last_hidden_state"]
        assert torch.equal(found, model(pictures).last_hidden_state)
    assert tap(network, list(tapped.layers), 32).digest == tapped.digest
    other = tap(OwnNetwork(kind, made(kind, KINDS[kind], 1)), list(tapped.layers), 32)
    assert other.digest != tapped.digest


def test_blocks_are_the_hidden_states():
    model = made("ViT", SMALL)
    names = [name for name, _ in layers_of(OwnNetwork("vit", model), 32)]
    assert {"layers.0", "layers.1", "layers.1.attention.q_proj", "layers.1.mlp.fc1"} <= set(names)
    tapped = tap(OwnNetwork("vit", model), ["layers.0"], 32)
    assert tapped.layers["layers.0"].prefix == 1
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        states = model(pictures, output_hidden_states=True).hidden_states
        assert torch.equal(tapped.extract(pictures)["layers.0"], states[1])
        # what follows is not run
        model.layers[1].forward = None
        assert torch.equal(tap_of(model).extract(pictures)["layers.0"], states[1])


def tap_of(model):
    """Tap a block of a network whose next block fails, with the counts of a whole one."""
    whole = tap(OwnNetwork("vit", made("ViT", SMALL)), ["layers.0"], 32)
    whole.module.network = model
    return whole


def test_one_tower_of_clip_is_run_by_a_function():
    import transformers

    vision = SMALL
    text = {"vocab_size": 99, "max_position_embeddings": 10, "bos_token_id": 1, "eos_token_id": 2}
    text |= {name: SMALL[name] for name in list(SMALL)[:4]}
    config = transformers.CLIPConfig(vision_config=vision, text_config=text)
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    with pytest.raises(NetworkError, match=r"clip: takes no pictures.*return \(network, call\)"):
        layers_of(OwnNetwork("clip", model), 32)
    tower = OwnNetwork("clip", model, run=lambda net, x: net.get_image_features(x))
    side = open_side("a", tower, "visual_projection", CompareSettings(size=32))
    pictures = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        found = side.source.extract(pictures)["visual_projection"]
        inner = model.vision_model(pictures).pooler_output
        torch.testing.assert_close(found, model.visual_projection(inner))

    def filled(net, x):
        words = torch.ones(len(x), 4, dtype=torch.long, device=x.device)
        return net(input_ids=words, pixel_values=x)

    both = OwnNetwork("clip", model, run=filled)
    names = [name for name, _ in layers_of(both, 32)]
    assert {"forward:logits_per_text", "text_model.encoder.layers.0"} <= set(names)
