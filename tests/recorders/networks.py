"""Networks that the tests record, and batches for them."""

import torch
from torch import nn
from torch.nn.functional import one_hot

CLASSES, INPUTS, WIDTH = 5, 7, 6


class Block(nn.Module):
    """h + f(h)"""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.branch = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, h):
        return h + self.branch(h)


class Net(nn.Module):
    """A residual MLP of two blocks; `between` is called on h_1, before the second block."""

    def __init__(self, between=None, block=Block):
        super().__init__()
        self.embed = nn.Linear(INPUTS, WIDTH)
        self.blocks = nn.ModuleList([block(), block()])
        self.readout = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES))
        self.between = between or (lambda h: h)

    def forward(self, x):
        h = self.blocks[0](self.embed(x))
        return self.readout(self.blocks[1](self.between(h)))

    def layers(self):
        return [self.embed, *self.blocks]


class DfaHooks:
    """Direct feedback alignment by hooks: what reaches h_l in the backward pass is a_l. Armed with the error e."""

    def __init__(self, layers):
        self.feedback = [torch.randn(WIDTH, CLASSES) / CLASSES**0.5 for _ in layers]
        self.error = None
        for l, layer in enumerate(layers[:-1]):
            layer.register_forward_hook(self._hook(l))

    def _hook(self, l):
        def replace(module, inputs, output):
            output.register_hook(lambda g: self.error @ self.feedback[l].T / len(g) if self.error is not None else g)
        return replace


def batch(samples=16, inputs=(INPUTS,), classes=CLASSES, seed=1):
    """x [samples, *inputs] and y [samples]."""
    random = torch.Generator().manual_seed(seed)
    return torch.randn(samples, *inputs, generator=random), torch.randint(classes, (samples,), generator=random)


def error(logits, y):
    """softmax(logits) - onehot(y), [N, classes]"""
    return logits.softmax(1) - one_hot(y, logits.shape[1])
