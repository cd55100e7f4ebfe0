#!/usr/bin/env python3
"""Golden numbers from PyTorch for convolutional networks.

Usage:  python tests/golden/make_convolutional.py            writes convolutional.json beside this file
        python tests/golden/make_convolutional.py --check    compares convolutional.json with a fresh run
Needs PyTorch only (made with the version named in the file), CPU, one thread, some seconds.

Tensors, inputs, labels and the summary of a tensor are those of make_golden.py; float64. Parameter number p is counted
in the order in which the network holds them. A convolution's weight is W [k k C, C'], row by row and channels last:
PyTorch's [C', C, k, k] is W.reshape(k, k, C, C').permute(3, 2, 0, 1). Hidden states are positions first, channels last,
flattened. No norm stands before the head.

  hidden, gradient, logits   in evaluation, running mean 0 and variance 1
  step.bp, step.dfa          in training: the gradient of every parameter, and each after one step of AdamW
  step.muon                  bp's, after one step of Muon on the blocks' matrices, [out, in k k], and AdamW on the rest
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


class Stack(Params):
    """Maps of (features, kernel, stride, padding, pool), each conv, norm, ReLU, max pool; an affine map reads the last."""

    def __init__(self, layers, normed):
        super().__init__()
        self.layers, self.normed, self.blocks = layers, normed, len(layers) - 1
        channels, side = 3, 32
        for k, (features, kernel, stride, padding, pool) in enumerate(layers):
            self.conv(f"{SmallCnn.part(k)}.conv", channels, features, kernel)
            if normed:
                self.norm(f"{SmallCnn.part(k)}.norm", features)
            channels, side = features, ((side + 2 * padding - kernel) // stride + 1) // pool
        self.add("readout.head.weight", [side * side * channels, C])
        self.add("readout.head.bias", [C])

    def layer(self, k, h, training):
        _, kernel, stride, padding, pool = self.layers[k]
        z = self.run_conv(f"{SmallCnn.part(k)}.conv", h, kernel, stride, padding)
        z = F.relu(self.run_norm(f"{SmallCnn.part(k)}.norm", z, training) if self.normed else z)
        return F.max_pool2d(z, pool) if pool > 1 else z

    def readout(self, h):
        return rows(h) @ self.w["readout.head.weight"] + self.w["readout.head.bias"]


class ResNet(Params):
    """Stages of (features, blocks); each but the first halves the sides in its first block."""

    def __init__(self, w, stages, shortcut, normed=True):
        super().__init__()
        self.normed, self.shortcut, self.plan = normed, shortcut, []
        self.unit("embed.conv", "embed.norm", 3, w)
        given = w
        for s, blocks in enumerate(stages):
            for k in range(blocks):
                stride, made = (2 if s and not k else 1), w << s
                at = f"blocks.{len(self.plan)}"
                self.unit(f"{at}.conv1", f"{at}.norm1", given, made)
                self.unit(f"{at}.conv2", f"{at}.norm2", made, made)
                if (stride > 1 or given != made) and shortcut == "projection":
                    self.unit(f"{at}.shortcut.conv", f"{at}.shortcut.norm", given, made, 1)
                self.plan.append((given, made, stride))
                given = made
        self.blocks = len(self.plan)
        self.add("readout.head.weight", [given, C])
        self.add("readout.head.bias", [C])

    def unit(self, conv, norm, i, o, k=3):
        self.conv(conv, i, o, k, bias=not self.normed)
        if self.normed:
            self.norm(norm, o)

    def run(self, conv, norm, x, training, k=3, stride=1):
        z = self.run_conv(conv, x, k, stride, k // 2)
        return self.run_norm(norm, z, training) if self.normed else z

    def layer(self, k, h, training):
        if not k:
            return F.relu(self.run("embed.conv", "embed.norm", h, training))
        at, (given, made, stride) = f"blocks.{k - 1}", self.plan[k - 1]
        z = F.relu(self.run(f"{at}.conv1", f"{at}.norm1", h, training, 3, stride))
        z = self.run(f"{at}.conv2", f"{at}.norm2", z, training)
        if stride == 1 and given == made:
            past = h
        elif self.shortcut == "projection":
            past = self.run(f"{at}.shortcut.conv", f"{at}.shortcut.norm", h, training, 1, stride)
        else:
            before = (made - given) // 2
            past = F.pad(h[:, :, ::stride, ::stride], (0, 0, 0, 0, before, made - given - before))
        return F.relu(past + z)

    def readout(self, h):
        return h.mean((2, 3)) @ self.w["readout.head.weight"] + self.w["readout.head.bias"]


def alexnet(w):
    maps = [(3 * w, 5, 1, 2, 2), (6 * w, 3, 1, 1, 1), (4 * w, 3, 1, 1, 1), (4 * w, 3, 1, 1, 2)]
    return [(w, 11, 4, 5, 2), *maps]


def vgg_16(w):
    stages = [(w, 2), (2 * w, 2), (4 * w, 3), (8 * w, 3), (8 * w, 3)]
    return [(f, 3, 1, 1, 2 if k == n - 1 else 1) for f, n in stages for k in range(n)]


def muon(net, losses):
    """Keller Jordan's, on W^T [out, in k k] of the blocks; learning rate .02, momentum .95, decay as AdamW's."""
    rest = [w for name, w in net.w.items() if not (name.startswith("blocks.") and w.dim() == 2)]
    optimizer = torch.optim.AdamW(rest, **ADAMW)
    sum(losses).backward()
    optimizer.step()
    with torch.no_grad():
        for name, w in net.w.items():
            if name.startswith("blocks.") and w.dim() == 2:
                g = w.grad.T
                buffer = torch.zeros_like(g).lerp_(g, 1 - 0.95)
                update = g.lerp(buffer, 0.95)
                x = update / (update.norm() + 1e-7)
                x = x.T if g.shape[0] > g.shape[1] else x
                for _ in range(5):
                    a = x @ x.T
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.T if g.shape[0] > g.shape[1] else x
                w.mul_(1 - 0.02 * ADAMW["weight_decay"])
                w.sub_(0.02 * max(1, g.shape[0] / g.shape[1]) ** 0.5 * x.T)
    return {"after": {name: summary(w.detach(), 2) for name, w in net.w.items()}}


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
    _, logits = forward(net, x, True, False)
    out["step"]["muon"] = muon(net, [F.cross_entropy(logits, y)])
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
        "alexnet": case(lambda: Stack(alexnet(2), False)),
        "vgg-16, batch": case(lambda: Stack(vgg_16(1), True)),
        "small-resnet, batch": case(lambda: ResNet(4, [1] * 3, "projection")),
        "small-resnet, pad": case(lambda: ResNet(3, [1] * 3, "pad", False)),
        "resnet-18, batch": case(lambda: ResNet(2, [2] * 4, "projection")),
        "resnet-20, batch": case(lambda: ResNet(3, [3] * 3, "pad")),
    }
    text = write(out) + "\n"
    if "--check" in sys.argv:
        worst = compare(json.loads(OUT.read_text()), json.loads(text))
        print(f"largest difference from {OUT.name}: {worst:.1e}")
        sys.exit(worst > 1e-9)
    OUT.write_text(text)


if __name__ == "__main__":
    main()
