"""The course's networks, one family a module, and all of them by name: `from tricks.models.nets import build`."""
