"""A tiny vision transformer, a tiny convolutional network, and one that reads the other's maps."""

import torch
from torch import nn
from torchvision.models import VisionTransformer


def tiny_vit() -> VisionTransformer:
    """Two layers of 16 patches of 8 px and a class token, 12 units; its last weights are not 0."""
    torch.manual_seed(0)
    return VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=12, mlp_dim=16,
        num_classes=3,
    )  # fmt: skip


class Small(nn.Module):
    """Maps of 6 x 4 x 4 from pictures of 32 px; about zero, since g has no bias."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 6, 8, stride=8, bias=False)
        self.conv.weight.data -= self.conv.weight.data.mean((2, 3), keepdim=True)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


class Reading(Small):
    """Tokens that are a linear map of Small's maps, after a class token."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.class_token = nn.Parameter(torch.zeros(1, 1, 10))
        self.read = nn.Linear(6, 10, bias=False)
        self.other = nn.Conv2d(3, 10, 8, stride=8, bias=False)
        self.other.weight.data -= self.other.weight.data.mean((2, 3), keepdim=True)
        self.noise = noise

    def forward(self, x):
        tokens = self.read(self.conv(x).flatten(2).transpose(1, 2))
        tokens = tokens + self.noise * self.other(x).flatten(2).transpose(1, 2)
        first = self.class_token.expand(tokens.shape[0], -1, -1)
        return torch.cat([first, tokens], 1)
