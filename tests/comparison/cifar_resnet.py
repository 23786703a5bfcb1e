"""CIFAR's residual networks by hand (He et al. 2015, Sec. 4.2): 6n + 2 layers, option A."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights: every second pixel, zero channels."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.stride = width // before
        self.conv1 = nn.Conv2d(before, width, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))

    def shortcut(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return x
        added = self.conv1.out_channels - self.conv1.in_channels
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, added // 2, added // 2))


class CifarResNet(nn.Module):
    """A stem and three stages of n blocks, 16, 32 and 64 channels."""

    def __init__(self, n: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, n)
        self.layer2 = self.stage(16, 32, n)
        self.layer3 = self.stage(32, 64, n)
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(torch.mean(x, (2, 3)))

    @staticmethod
    def stage(before: int, width: int, n: int) -> nn.Sequential:
        return nn.Sequential(*(Block(before if k == 0 else width, width) for k in range(n)))


def resnet20() -> nn.Module:
    return CifarResNet(3)


def resnet44() -> nn.Module:
    return CifarResNet(7)
