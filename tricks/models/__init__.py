"""The course's networks, one family a module: `from tricks.models.resnet import build`."""
