#!/usr/bin/env python3
"""The trainings of `throughput.rs` in PyTorch, on the CPU, in the form that is fastest there.

Usage:  python benches/pytorch_step.py --net resmlp-256x4 --rule dfa --mode eager --seconds 10
        python benches/pytorch_step.py --check     gradients of one step against tests/golden/make_golden.py
Needs PyTorch only. Prints the JSON line of `throughput.rs`.

The same networks, rules, sizes, f32, batch, augmentation and AdamW as fa-audit trains with. What makes it PyTorch's
best form: fused AdamW; gradients set to None; local losses are never formed, each branch is given its credit as the
gradient of its output, so that one backward call runs all blocks; a cut (`detach`) at every block, so that nothing
differentiates its input; all of DFA's credits in one batched product; one product for query, key and value, and
`scaled_dot_product_attention`; augmentation of whole batches of bytes on the training thread, without workers that
would take the cores of the training itself. `--mode compile` compiles forward, credits and augmentation;
`max-autotune` does so with that mode.
"""
import argparse
import importlib.util
import json
import math
import pathlib
import sys
import time

START = time.perf_counter()

import torch
import torch.nn.functional as F
from torch import nn

BATCH, CLASSES, IMAGES, PAD = 128, 10, 390 * 128, 4
RMS_EPS = 1e-6
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
NETS = {
    "resmlp-256x4": ("resmlp", dict(width=256, depth=4)),
    "resmlp-512x12": ("resmlp", dict(width=512, depth=12)),
    "vit-mini": ("vit-mini", dict(width=128, depth=4, heads=4, patch=4, ratio=2)),
}


# ------------------------------------------------------------------------------------------------------- networks
class MlpBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)
        nn.init.normal_(self.linear2.weight, std=0.01)
        nn.init.zeros_(self.linear2.bias)

    def forward(self, h):
        return self.linear2(F.gelu(self.linear1(self.norm(h))))


class Net(nn.Module):
    """embed, blocks (the branches f_l) and readout."""

    def __init__(self, width, depth, blocks):
        super().__init__()
        self.width, self.depth = width, depth
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)

    def readout(self, top):
        return self.head(self.norm(top))


class ResMlp(Net):
    def __init__(self, width, depth):
        super().__init__(width, depth, [MlpBlock(width) for _ in range(depth)])
        self.patch = nn.Linear(3072, width)

    def embed(self, x):
        return self.patch(x.flatten(1))

    def top(self, h):  # where the readout looks
        return h


class VitBlock(nn.Module):
    def __init__(self, width, heads, ratio):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.linear1, self.linear2 = nn.Linear(width, ratio * width), nn.Linear(ratio * width, width)

    def forward(self, h):
        n, t, d = h.shape
        q, k, v = self.qkv(self.norm1(h)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        a = self.output(mixed)
        return a + self.linear2(F.gelu(self.linear1(self.norm2(h + a))))


class VitMini(Net):
    def __init__(self, width, depth, heads, patch, ratio):
        super().__init__(width, depth, [VitBlock(width, heads, ratio) for _ in range(depth)])
        self.side = patch
        self.patch = nn.Linear(3 * patch * patch, width)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, (32 // patch) ** 2 + 1, width))

    def embed(self, x):
        n, p, g = len(x), self.side, 32 // self.side
        patches = x.view(n, 3, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(n, g * g, 3 * p * p)
        return torch.cat([self.cls.expand(n, 1, self.width), self.patch(patches)], 1) + self.positions

    def top(self, h):
        return h[:, 0]


def build(kind, sizes):
    return {"resmlp": ResMlp, "vit-mini": VitMini}[kind](**sizes)


# ---------------------------------------------------------------------------------------------------------- rules
class Trainer:
    """One step's gradients of a rule, in `parameter.grad`."""

    def __init__(self, net, rule, wrap=lambda f: f):
        self.net, self.rule = net, rule
        d, depth = net.width, net.depth
        if rule == "dfa":  # B_l^T, [L, C, d]
            self.feedback = torch.randn(depth, CLASSES, d) / math.sqrt(CLASSES)
        elif rule == "fa":  # B_l^T, [L - 1, d, d]
            self.feedback = torch.randn(depth - 1, d, d) / math.sqrt(d)
        self.whole, self.trunk, self.read = wrap(self.whole), wrap(self.trunk), wrap(self.read)
        self.credits = wrap(self.credits)

    def whole(self, x, y):
        h = self.net.embed(x)
        for block in self.net.blocks:
            h = h + block(h)
        return self.read(self.net.top(h), y)

    def trunk(self, x):
        """h_0 and the branches f_l, each cut off from what is below it; the readout's input."""
        h0 = self.net.embed(x)
        h, branches = h0.detach(), []
        for block in self.net.blocks:
            branches.append(block(h))
            h = h + branches[-1].detach()
        return h0, branches, self.net.top(h)

    def read(self, top, y):
        logits = self.net.readout(top)
        return F.cross_entropy(logits, y), logits

    def credits(self, logits, y, top_gradient):
        """The normalised credits over the batch size, [L, N, d]."""
        if self.rule == "dfa":
            e = torch.softmax(logits, -1) - F.one_hot(y, CLASSES).to(logits.dtype)
            a = torch.matmul(e, self.feedback)
        else:
            layers = [top_gradient]
            for b in reversed(self.feedback.unbind()):
                layers.append(layers[-1] @ b)
            a = torch.stack(layers[::-1])
        rms = a.square().mean(-1, keepdim=True).sqrt()
        return a / ((rms + RMS_EPS) * len(y))

    def gradients(self, x, y):
        """Loss and logits of the batch."""
        if self.rule == "bp":
            loss, logits = self.whole(x, y)
            loss.backward()
            return loss.detach(), logits.detach()
        h0, branches, top = self.trunk(x)
        top = top.detach().requires_grad_(self.rule == "fa")
        loss, logits = self.read(top, y)
        loss.backward()
        with torch.no_grad():
            a = self.credits(logits.detach(), y, top.grad)
            if h0.dim() == 3:  # a credit for every token, and the mean over them
                a = (a / h0.shape[1]).unsqueeze(2).expand(-1, *h0.shape)
            local = a.unbind()
        torch.autograd.backward([h0, *branches], [local[0], *local])
        return loss.detach(), logits.detach()


# ----------------------------------------------------------------------------------------------------------- data
def images(data_dir):
    """Bytes [N, 3, 32, 32] and labels of CIFAR-10's binary files, or random ones."""
    if data_dir is None:
        generator = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
        return pixels, torch.randint(0, CLASSES, (IMAGES,), generator=generator)
    folder = pathlib.Path(data_dir)
    if (folder / "cifar-10-batches-bin").is_dir():
        folder = folder / "cifar-10-batches-bin"
    pixels, labels = torch.empty(50_000, 3072, dtype=torch.uint8), torch.empty(50_000, dtype=torch.long)
    for k in range(5):
        file = bytearray((folder / f"data_batch_{k + 1}.bin").read_bytes())
        records = torch.frombuffer(file, dtype=torch.uint8).view(-1, 3073)
        pixels[k * 10_000 :][:10_000], labels[k * 10_000 :][:10_000] = records[:, 1:], records[:, 0]
    return pixels[:IMAGES].view(-1, 3, 32, 32), labels[:IMAGES]


SCALE = (1 / (255 * torch.tensor(STD))).view(1, 3, 1, 1)
SHIFT = (torch.tensor(MEAN) / torch.tensor(STD)).view(1, 3, 1, 1)


def augmented(pixels, index, corner, mirrored):
    """RandomCrop(32, padding 4), RandomHorizontalFlip and normalisation of a batch: crop and flip are one gather of
    bytes, which took half the time of an unfolded view and a `where` on its mirror image."""
    side = 32 + 2 * PAD
    padded = F.pad(pixels[index], (PAD, PAD, PAD, PAD)).view(len(index), 3, side * side)
    columns = torch.where(mirrored, torch.arange(31, -1, -1), torch.arange(32))
    rows = (corner[0, :, None] + torch.arange(32)) * side
    places = (rows[:, :, None] + (corner[1, :, None] + columns)[:, None, :]).view(-1, 1, 32 * 32).expand(-1, 3, -1)
    return padded.gather(2, places).view(-1, 3, 32, 32).to(torch.float32).mul_(SCALE).sub_(SHIFT)


def batches(pixels, labels):
    """Endless epochs of shuffled, augmented batches; the last, smaller batch of an epoch is left out."""
    while True:
        order = torch.randperm(len(labels))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            corner = torch.randint(0, 2 * PAD + 1, (2, BATCH))
            mirrored = torch.rand(BATCH, 1) < 0.5
            yield augmented(pixels, index, corner, mirrored), labels[index]


# ---------------------------------------------------------------------------------------------------- measurement
def peak_memory():
    """VmHWM in MB (10^6 bytes)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6


def train(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(42)
    wrap = {
        "eager": lambda f: f,
        "compile": torch.compile,
        "max-autotune": lambda f: torch.compile(f, mode="max-autotune"),
    }[options.mode]
    pixels, labels = images(options.data_dir)
    kind, sizes = NETS[options.net]
    net = build(kind, sizes)
    trainer = Trainer(net, options.rule, wrap)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    stream = batches(pixels, labels)
    epoch = len(labels) // BATCH
    losses, hits, total, first = [], torch.zeros((), dtype=torch.long), 0, None

    def step():
        nonlocal hits, total, first
        x, y = next(stream)
        optimizer.zero_grad()
        loss, logits = trainer.gradients(x, y)
        optimizer.step()
        if total % epoch == 0:
            losses.clear()
            hits.zero_()
        losses.append(loss)
        hits += (logits.argmax(1) == y).sum()
        total += 1
        if first is None:
            first = time.perf_counter() - START

    for _ in range(options.warmup):
        step()
    while go(options):
        steps, start = 0, time.perf_counter()
        while (seconds := time.perf_counter() - start) < options.seconds and steps != options.steps:
            step()
            steps += 1
        line = dict(
            program="pytorch", form=options.mode, net=options.net, rule=options.rule, threads=options.threads,
            explode=1.0, steps=steps, seconds=seconds, samples_per_second=steps * BATCH / seconds,
            epochs=total / epoch, loss=float(torch.stack(losses).mean()), accuracy=int(hits) / (len(losses) * BATCH),
            peak_memory_mb=peak_memory(), first_step_seconds=first)
        print(json.dumps(line), flush=True)
        if not options.wait:
            break


def go(options):
    """Says that it is ready and waits for a line, where another program gives the pace; false at the end of input."""
    if not options.wait:
        return True
    print(json.dumps({"ready": True}), flush=True)
    return bool(sys.stdin.readline())


# ---------------------------------------------------------------------------------------------------------- check
def check():
    """Gradients of one step in float64 against those of tests/golden/make_golden.py; exit code 1 where they differ."""
    path = pathlib.Path(__file__).parent.parent / "tests/golden/make_golden.py"
    spec = importlib.util.spec_from_file_location("make_golden", path)
    golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden)
    torch.set_default_dtype(torch.float64)
    sizes = {"resmlp": dict(width=8, depth=3), "vit-mini": dict(width=8, depth=2, heads=2, patch=8, ratio=2)}
    worst = 0.0
    for name, size in sizes.items():
        theirs = golden.evaluate(name, torch.float64)
        start = {n: w.detach() for n, w in golden.NETWORKS[name](torch.float64).w.items()}
        x, y = golden.inputs().view(-1, 3, 32, 32), torch.tensor(golden.LABELS)
        for rule in ("bp", "fa", "dfa"):
            trainer = Trainer(build(name, size), rule)
            ours = named(trainer.net)
            for n, value in assembled(start, name).items():
                ours[n].data.copy_(value)
            width = size["width"]
            if rule == "dfa":
                b = [golden.wave(1000 + l, [width, CLASSES]) / math.sqrt(CLASSES) for l in range(size["depth"])]
                trainer.feedback = torch.stack([m.T for m in b])
            elif rule == "fa":
                b = [golden.wave(2000 + l, [width, width]) / math.sqrt(width) for l in range(size["depth"] - 1)]
                trainer.feedback = torch.stack([m.T for m in b])
            trainer.gradients(x, y)
            for n, want in assembled(theirs["step"][rule]["gradient"], name).items():
                apart = float((ours[n].grad - want).norm() / want.norm())
                worst = max(worst, apart)
                if apart > 1e-9:
                    print(f"{name} {rule} {n}: relative distance {apart:.1e}")
    print(f"largest relative distance of a gradient: {worst:.1e}")
    return 0 if worst <= 1e-9 else 1


def named(net):
    """Parameters by their names in `assembled`."""
    return dict(net.named_parameters())


def assembled(golden, name):
    """The golden tensors under this program's names, in PyTorch's layout [out, in]."""
    out = {}
    for n, v in golden.items():
        n = n.replace("gamma", "weight").replace("beta", "bias").replace("readout.", "").replace("attention.", "")
        n = n.replace("embed.patch", "patch").replace("embed.weight", "patch.weight").replace("embed.bias", "patch.bias")
        n = n.replace("embed.", "")
        out[n] = v.T if n.endswith("weight") and v.dim() == 2 else v
    if name == "vit-mini":
        for key in [k for k in out if ".query." in k]:
            parts = [out.pop(key.replace("query", part)) for part in ("query", "key", "value")]
            out[key.replace("query", "qkv")] = torch.cat(parts)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="resmlp-256x4")
    parser.add_argument("--rule", choices=["bp", "fa", "dfa"], default="dfa")
    parser.add_argument("--mode", choices=["eager", "compile", "max-autotune"], default="eager")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a measurement")
    parser.add_argument("--steps", type=int, help="end a measurement after so many steps, if earlier")
    parser.add_argument("--warmup", type=int, default=20, help="steps before the first measurement")
    parser.add_argument("--data-dir", help="folder of CIFAR-10's binary files; random bytes without it")
    parser.add_argument("--wait", action="store_true", help="one measurement for each line on standard input")
    parser.add_argument("--check", action="store_true", help="compare one step's gradients with the golden ones")
    options = parser.parse_args()
    if options.check:
        return check()
    return train(options)


if __name__ == "__main__":
    sys.exit(main())
