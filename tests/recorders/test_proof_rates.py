"""How often the PyTorch recorder's proof accuses a true gradient, and misses a false one, over random networks."""

import random
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fa_audit.torch import Recorder
from networks import CLASSES, INPUTS, batch


class Random(nn.Module):
    """Width, depth, activation, norm, skip and scale of the weights at random."""

    def __init__(self, draw):
        super().__init__()
        width = draw.choice([6, 8, 17])
        norm = draw.choice([nn.LayerNorm, lambda width: nn.Identity()])
        activation = draw.choice([nn.ReLU, nn.Tanh, nn.GELU])
        self.skip = draw.random() < 0.5
        self.embed = nn.Linear(INPUTS, width)
        self.blocks = nn.ModuleList(nn.Sequential(norm(width), nn.Linear(width, width), activation())
                                    for _ in range(draw.choice([1, 2, 4])))
        self.taps = nn.ModuleList(nn.Identity() for _ in range(len(self.blocks) + 1))
        self.readout = nn.Sequential(norm(width), nn.Linear(width, CLASSES))
        scale = draw.choice([0.3, 1.0, 3.0, 10.0])
        with torch.no_grad():
            for block in self.blocks:
                block[1].weight *= scale

    def forward(self, x):
        h = self.taps[0](self.embed(x))
        for block, tap in zip(self.blocks, self.taps[1:], strict=True):
            h = tap(h + block(h) if self.skip else block(h))
        return self.readout(h)


def recorded(draw, fault=None):
    """A recorder that has seen one batch, where the gradient of one layer has the fault."""
    torch.manual_seed(draw.randrange(10**6))
    net = Random(draw)
    x, y = batch(draw.choice([4, 16, 33]), seed=draw.randrange(10**6))
    if draw.random() < 0.3:
        net, x = net.double(), x.double()
    layer = draw.randrange(len(net.taps))
    if fault:
        net.taps[layer].register_forward_hook(lambda module, inputs, output: output.register_hook(fault) and None)
    reduction = draw.choice(["mean", "sum"])
    recorder = Recorder(net, list(net.taps), nn.CrossEntropyLoss(reduction=reduction))
    recorder.record(x, y)
    return recorder


def test_of_two_hundred_true_gradients_none_is_accused(capsys):
    draw = random.Random(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        worst = [max(layer["relative_error"] for layer in recorded(draw).proof) for _ in range(200)]
    with capsys.disabled():
        print(f"\nlargest relative error of 200 true gradients {max(worst):.1e}, median {sorted(worst)[100]:.1e}")


FAULTS = {
    "twice": lambda g: 2 * g,
    "one per cent more": lambda g: 1.01 * g,
    "uphill": lambda g: -g,
    "another sample's": lambda g: g.roll(1, 0),
    "without one feature": lambda g: g * (torch.arange(g.shape[1]) > 0).to(g),
    "random of the same norm": lambda g: (r := torch.randn_like(g)) * (g.norm() / r.norm()),
    "zero": torch.zeros_like,
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings("ignore:batch 0")
def test_a_false_gradient_is_found(name):
    draw = random.Random(2)
    for _ in range(30):
        recorder = recorded(draw, FAULTS[name])
        assert not recorder.proved, recorder.proof


def test_the_proof_leaves_the_gradient_of_the_loss_as_it_is():
    draw = random.Random(3)
    net = Random(draw)
    x, y = batch()
    recorder = Recorder(net, list(net.taps))
    recorder.record(x, y)
    h = net.embed(x).detach().requires_grad_()
    net.embed.forward = lambda x: h
    torch.testing.assert_close(recorder.tensors["batch.0.g.0"], torch.autograd.grad(cross_entropy(net(x), y), h)[0])
