"""The model, and how images become its input and pictures again."""

import torch
from torch import nn
from torchvision import datasets, models, transforms

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def make(offline):
    """A ResNet-18 with a new last layer, or a small network that needs no downloaded weights."""
    if offline:
        return nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(24 * 16, 32), nn.ReLU(), nn.Linear(32, 2),
        )
    model = models.resnet18(weights=models.ResNet18_Weights.DEFAULT)
    for p in model.parameters():
        p.requires_grad = False
    model.fc = nn.Linear(model.fc.in_features, 2)
    return model


def folder(path, size, train=False):
    """Images of a folder of classes, normalised."""
    steps = [transforms.Resize(size), transforms.CenterCrop(size)]
    if train:
        steps.append(transforms.RandomHorizontalFlip())
    return datasets.ImageFolder(path, transforms.Compose(steps + [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]))


def picture(tensor):
    """The image behind a normalised tensor: height x width x 3, 0 to 255."""
    x = tensor.permute(1, 2, 0) * STD + MEAN
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)
