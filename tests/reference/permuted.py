"""A torchvision network with permuted channels that gives the same logits."""

import copy

import torch
from torch import nn
from torchvision.models import alexnet


def narrow_alexnet(seed: int, channels: int = 32) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = alexnet(weights=None, num_classes=5)
        model.features[8] = nn.Conv2d(384, channels, 3, padding=1)
        model.features[10] = nn.Conv2d(channels, 24, 3, padding=1)
        model.classifier = nn.Sequential(nn.Flatten(), nn.Linear(24 * 36, 5))
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model.eval()


def permuted(model: nn.Module, order: torch.Tensor) -> nn.Module:
    """Permute the output channels of features.8, and undo it in features.10."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.features[8].weight.copy_(model.features[8].weight[order])
        other.features[8].bias.copy_(model.features[8].bias[order])
        other.features[10].weight.copy_(model.features[10].weight[:, order])
    return other


def tapped(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Record features.8, before its ReLU."""
    with torch.no_grad():
        return model.features[:9](images)
