"""All networks by their names: `build` is what a recipe's `net` and tweaks become."""

import difflib

from torch import nn

from tricks.models import inception, mobilenet, resnet

NETS = (*resnet.NETS, *inception.NETS, *mobilenet.NETS)
TWEAKS = {  # §4, and what each changes
    "tweak_b": "it moves the stride on path A of a residual block",
    "tweak_c": "it replaces the one convolution in the stem of a ResNet",
    "tweak_d": "it pools on the shortcut of a residual block",
}


def build(
    net: str, num_classes: int, *, tweak_b: bool = False, tweak_c: bool = False, tweak_d: bool = False
) -> nn.Module:
    """The network named `net`, with PyTorch's own initialisation: (N, 3, H, W) pictures to (N, K) logits.

    ValueError on an unknown name, with the nearest one, and on a tweak that the network has no place for.
    """
    if net not in NETS:
        near = difflib.get_close_matches(net, NETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"unknown net {net!r}. Nearest: {near!r}. There are {', '.join(NETS)}")
    if net in resnet.NETS:
        return resnet.build(net, num_classes, tweak_b=tweak_b, tweak_c=tweak_c, tweak_d=tweak_d)
    for (tweak, what), asked in zip(TWEAKS.items(), (tweak_b, tweak_c, tweak_d), strict=True):
        if asked:
            raise ValueError(
                f"{tweak} does not exist for {net!r}: {what}. Leave it off, or use a ResNet: {', '.join(resnet.NETS)}"
            )
    return (inception if net in inception.NETS else mobilenet).build(net, num_classes)
