#!/usr/bin/env python3
"""Golden numbers from PyTorch for small convolutional networks.

Usage:  python tests/golden/make_convolutional.py            writes convolutional.json beside this file
        python tests/golden/make_convolutional.py --check    compares convolutional.json with a fresh run
Needs PyTorch only (made with the version named in the file), CPU, one thread, some seconds.

Tensors, inputs, labels and the summary of a tensor are those of make_golden.py; float64. Parameter number p is counted
in the order in which the network holds them. A convolution's weight is W [k k C, C'], row by row and channels last:
PyTorch's [C', C, k, k] is W.reshape(k, k, C, C').permute(3, 2, 0, 1). Hidden states are positions first, channels last,
flattened. No norm stands before the head.

  hidden, gradient, logits   in evaluation, running mean 0 and variance 1
  step.bp, step.dfa          in training: the gradient of every parameter, and each after one step of AdamW
  buffers                    running statistics after that batch

DFA: B_l [d_l, C] is tensor 1000 + l over sqrt(C); a_l = e B_l^T, a~ = a/(RMS(a) + 1e-6) over all of a sample's features;
the embedding descends mean <h_0, a~_0>, block l mean <f_l(h_l), a~_{l+1}>, the readout mean CE.
"""
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

from make_golden import ADAMW, C, LABELS, N, RMS_EPS, compare, inputs, summary, wave, write

torch.set_num_threads(1)
OUT = pathlib.Path(__file__).with_name("convolutional.json")


class Params:
    """Tensors by name, each by its formula."""

    def __init__(self):
        self.w, self.buffers = {}, {}

    def add(self, name, shape):
        p = len(self.w)
        if name.endswith("gamma"):
            value = 1 + 0.1 * wave(p, shape)
        elif name.endswith("weight"):
            value = wave(p, shape) / math.sqrt(shape[0])
        else:
            value = 0.05 * wave(p, shape)
        self.w[name] = value.double().requires_grad_()

    def conv(self, name, i, o, k=3, bias=True):
        self.add(f"{name}.weight", [k * k * i, o])
        if bias:
            self.add(f"{name}.bias", [o])

    def norm(self, name, d):
        self.add(f"{name}.gamma", [d])
        self.add(f"{name}.beta", [d])
        self.buffers[f"{name}.running_mean"] = torch.zeros(d, dtype=torch.float64)
        self.buffers[f"{name}.running_var"] = torch.ones(d, dtype=torch.float64)

    def run_conv(self, name, x, k=3, stride=1, padding=1):
        w = self.w[f"{name}.weight"]
        kernel = w.reshape(k, k, x.shape[1], w.shape[1]).permute(3, 2, 0, 1)
        return F.conv2d(x, kernel, self.w.get(f"{name}.bias"), stride, padding)

    def run_norm(self, name, x, training):
        mean, var = (self.buffers[f"{name}.running_{of}"] for of in ("mean", "var"))
        return F.batch_norm(x, mean, var, self.w[f"{name}.gamma"], self.w[f"{name}.beta"], training, 0.1, 1e-5)


def rows(x):
    return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x


class SmallCnn(Params):
    blocks = 3

    def __init__(self, w, normed):
        super().__init__()
        self.normed, self.channels = normed, [3, w, 2 * w, 4 * w]
        for k in range(3):
            part = self.part(k)
            self.conv(f"{part}.conv", self.channels[k], self.channels[k + 1])
            if normed:
                self.norm(f"{part}.norm", self.channels[k + 1])
        self.add("blocks.2.linear.weight", [64 * 4 * w, 8 * w])
        self.add("blocks.2.linear.bias", [8 * w])
        self.add("readout.head.weight", [8 * w, C])
        self.add("readout.head.bias", [C])

    @staticmethod
    def part(k):
        return f"blocks.{k - 1}" if k else "embed"

    def layer(self, k, h, training):
        """h_k of what is below: maps [N, C, H, W], or rows."""
        if k == 3:
            return F.relu(rows(h) @ self.w["blocks.2.linear.weight"] + self.w["blocks.2.linear.bias"])
        z = self.run_conv(f"{self.part(k)}.conv", h)
        z = F.relu(self.run_norm(f"{self.part(k)}.norm", z, training) if self.normed else z)
        return F.max_pool2d(z, 2) if k else z

    def readout(self, h):
        return rows(h) @ self.w["readout.head.weight"] + self.w["readout.head.bias"]


def forward(net, x, training, cut):
    """Layers' outputs h_0 .. h_L, and the logits; cut below every layer and the readout."""
    held = (lambda h: h.detach()) if cut else (lambda h: h)
    hidden = [net.layer(0, x, training)]
    for k in range(1, net.blocks + 1):
        hidden.append(net.layer(k, held(hidden[-1]), training))
    return hidden, net.readout(held(hidden[-1]))


def step(net, losses):
    optimizer = torch.optim.AdamW(net.w.values(), **ADAMW)
    optimizer.zero_grad()
    sum(losses).backward()
    gradient = {name: summary(w.grad, 3) for name, w in net.w.items()}
    optimizer.step()
    return {"gradient": gradient, "after": {name: summary(w.detach(), 2) for name, w in net.w.items()}}


def case(make):
    x, y = inputs().reshape(N, 3, 32, 32), torch.tensor(LABELS)
    net = make()
    hidden, logits = forward(net, x, False, False)
    flat = [rows(h) for h in hidden]
    loss = F.cross_entropy(logits, y)
    gradients = torch.autograd.grad(loss, hidden)
    out = {
        "hidden": [summary(h.detach(), 16) for h in flat],
        "gradient": [summary(rows(g), 16) for g in gradients],
        "logits": summary(logits.detach(), 60),
        "step": {},
    }
    net = make()
    _, logits = forward(net, x, True, False)
    out["buffers"] = {name: summary(b, 4) for name, b in net.buffers.items()}
    out["step"]["bp"] = step(net, [F.cross_entropy(logits, y)])
    net = make()
    hidden, logits = forward(net, x, True, True)
    e = (logits.softmax(1) - F.one_hot(y, C)).detach()
    losses = [F.cross_entropy(logits, y)]
    for l, h in enumerate(hidden):
        h = rows(h)
        a = e @ (wave(1000 + l, [h.shape[1], C]).double() / math.sqrt(C)).T
        a = a / (a.square().mean(1, keepdim=True).sqrt() + RMS_EPS)
        losses.append((h * a).sum(1).mean())
    out["step"]["dfa"] = step(net, losses)
    return out


def main():
    out = {
        "torch": torch.__version__.split("+")[0],
        "small-cnn": case(lambda: SmallCnn(4, False)),
        "small-cnn, batch": case(lambda: SmallCnn(4, True)),
    }
    text = write(out) + "\n"
    if "--check" in sys.argv:
        worst = compare(json.loads(OUT.read_text()), json.loads(text))
        print(f"largest difference from {OUT.name}: {worst:.1e}")
        sys.exit(worst > 1e-9)
    OUT.write_text(text)


if __name__ == "__main__":
    main()
