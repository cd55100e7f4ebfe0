"""A network trained with direct feedback alignment in plain PyTorch, its trace, and the command that audits it.

    python example_pytorch.py                     writes trace.safetensors; seconds on a CPU
    fa-audit diagnose trace.safetensors --controls

The network is residual, h_{l+1} = h_l + f_l(h_l), with a LayerNorm before its head. Each block is moved by its
own local loss <f_l, a_l / RMS(a_l)> with a_l = e B_l^T, e the output error, B_l fixed and random; the twin
leaves the blocks at their initialisation. The data are points on ten random clusters.
"""

import argparse

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from fa_audit.torch import Recorder

CLASSES = 10


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        nn.init.normal_(self.branch[3].weight, std=0.01)
        nn.init.zeros_(self.branch[3].bias)

    def forward(self, h):
        return h + self.branch(h)


class Net(nn.Module):
    def __init__(self, inputs, width, depth):
        super().__init__()
        self.embed = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.readout = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, CLASSES))

    def forward(self, x):
        h = self.embed(x)
        for block in self.blocks:
            h = block(h)
        return self.readout(h)


def error(logits, y):
    return logits.softmax(1) - one_hot(y, CLASSES)


def train(net, feedback, data, epochs, batch, frozen):
    """DFA: every module learns from a loss of its own, cut off from the others."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    x_all, y_all = data
    for _ in range(epochs):
        for rows in torch.randperm(len(x_all)).split(batch):
            x, y = x_all[rows], y_all[rows]
            h = net.embed(x)
            branches = [(0, h)]
            h = h.detach()
            for l, block in enumerate(net.blocks):
                branch = block.branch(h)
                branches.append((l, branch))
                h = (h + branch).detach()
            logits = net.readout(h)
            e = error(logits.detach(), y)
            loss = cross_entropy(logits, y)
            for l, branch in branches[: 1 if frozen else None]:
                a = e @ feedback[l].T
                a = a / (a.square().mean(1, keepdim=True).sqrt() + 1e-6)
                loss = loss + (branch * a).sum() / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def accuracy(net, data):
    with torch.no_grad():
        return (net(data[0]).argmax(1) == data[1]).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="trace.safetensors", help=".safetensors or .npz")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()

    torch.set_num_threads(1)  # small matrices
    torch.manual_seed(args.seed)
    centres = torch.randn(CLASSES, 32)
    y = torch.randint(CLASSES, (6000,))
    x = centres[y] + 2.5 * torch.randn(len(y), 32)
    train_data, test_data = (x[:4000], y[:4000]), (x[4000:], y[4000:])

    found = {}
    for frozen in (True, False):
        torch.manual_seed(args.seed)
        net = Net(32, args.width, args.depth)
        feedback = [torch.randn(args.width, CLASSES) / CLASSES**0.5 for _ in range(args.depth)]
        train(net, feedback, train_data, args.epochs, args.batch, frozen)
        found[frozen] = accuracy(net, test_data)

    def credit(hidden, logits):  # a_L trains no block; B_{L-1} again, as the protocol has it
        return [error(logits, y) @ feedback[min(l, args.depth - 1)].T for l in range(args.depth + 1)]

    recorder = Recorder(net, layers=[net.embed, *net.blocks])
    for k in range(args.batches):
        rows = slice(k * args.batch, (k + 1) * args.batch)
        x, y = test_data[0][rows], test_data[1][rows]
        recorder.record(x, y, credit)
    recorder.save(args.out, method="dfa", arch="residual mlp", dataset="clusters", seed=args.seed,
                  epoch=args.epochs, terminal_norm="layernorm", credit_trains=range(args.depth),
                  accuracy=found[False], frozen_accuracy=found[True])
    print(f"fa-audit diagnose {args.out} --controls")


if __name__ == "__main__":
    main()
