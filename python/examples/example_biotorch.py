"""A network that BioTorch trains with direct feedback alignment, its trace, and the command that audits it.

    pip install torch; pip install --no-deps biotorch     (0.0.16 pins an old torch; with torch 2.15 it runs)
    python example_biotorch.py                            writes biotorch.npz; seconds on a CPU

BioTorch's backward pass is the method: at the input of every linear layer it puts the loss gradient, mapped by
the layer's fixed random matrix. The recorder takes that as the credit, and the reference from a plain network
of the same weights. The layer that leads to h_l learns from a_l: a_0 trains what the frozen twin trains too, and
the blocks learn from a_1 ... a_L.
"""

import argparse

import torch
from biotorch.module.biomodule import BioModule
from torch import nn
from torch.nn.functional import cross_entropy

from fa_audit.torch import Recorder

CLASSES, INPUTS = 10, 32


def network(width, depth):
    layers = [nn.Linear(INPUTS, width), nn.Tanh()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(width, CLASSES))


def states(net):
    """The modules whose outputs are h_0 ... h_L."""
    return [module for module in net if isinstance(module, nn.Tanh)]


def accuracy(net, data):
    with torch.no_grad():
        return (net(data[0]).argmax(1) == data[1]).double().mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="biotorch.npz", help=".safetensors or .npz")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # small matrices
    torch.manual_seed(args.seed)
    centres = torch.randn(CLASSES, INPUTS)
    y = torch.randint(CLASSES, (6000,))
    x = centres[y] + 2.5 * torch.randn(len(y), INPUTS)
    train_data, test_data = (x[:4000], y[:4000]), (x[4000:], y[4000:])

    found = {}
    for frozen in (True, False):
        torch.manual_seed(args.seed)
        net = BioModule(network(args.width, args.depth), mode="dfa", output_dim=CLASSES)
        if frozen:  # the blocks stay; what leads to h_0, and the head, learn
            for module in list(net.module)[2:-1]:
                module.requires_grad_(False)
        optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), lr=1e-3)
        for _ in range(args.epochs):
            for rows in torch.randperm(len(train_data[0])).split(args.batch):
                x, y = train_data[0][rows], train_data[1][rows]
                optimizer.zero_grad()
                cross_entropy(net(x, y, cross_entropy), y).backward()
                optimizer.step()
        net.eval()
        found[frozen] = accuracy(net, test_data)

    plain = network(args.width, args.depth)
    weights = {name: value for name, value in net.module.state_dict().items() if "backward" not in name}
    plain.load_state_dict(weights)
    net.train()  # BioTorch hands the loss gradient to its layers in training mode only
    recorder = Recorder(net, states(net.module), forward=lambda net, x, y: net(x, y, cross_entropy),
                        reference=plain, reference_layers=states(plain))
    for k in range(args.batches):
        rows = slice(k * args.batch, (k + 1) * args.batch)
        recorder.record(test_data[0][rows], test_data[1][rows])
    recorder.save(args.out, method="dfa", arch="mlp", dataset="clusters", seed=args.seed, epoch=args.epochs,
                  terminal_norm="none", credit_trains=range(1, args.depth + 1),
                  accuracy=found[False], frozen_accuracy=found[True])
    print(f"fa-audit diagnose {args.out} --controls")


if __name__ == "__main__":
    main()
