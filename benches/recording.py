"""What it costs to record a training every epoch: seconds of an epoch with and without `Recorder.measure`, in turns.

    VENV/bin/python benches/recording.py                      PyTorch, residual MLP 256x4, epochs of 50,000 images
    VENV/bin/python benches/recording.py --framework jax      the same in JAX, jitted
    VENV/bin/python benches/recording.py --samples 5000       of a tenth of the images: the cost is an evaluation's, not an epoch's

DFA by local losses, AdamW, batch 128, random pixels in the place of CIFAR-10's; two batches of 128 are measured at the
end of each epoch. One thread. CPU seconds of the process, which other programs disturb less than the clock, and the clock's. An
epoch with is followed by one without, then the other way round; the first pair, which compiles and proves in float64, is
told apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
INPUTS, WIDTH, DEPTH, CLASSES, BATCH = 3072, 256, 4, 10, 128


def in_pytorch(samples: int, batches: int):
    """Functions that train an epoch and that measure."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, one_hot

    from fa_audit.torch import Recorder

    torch.set_num_threads(1)
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.branch = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

        def forward(self, h):
            return h + self.branch(h)

    embed, blocks = nn.Linear(INPUTS, WIDTH), nn.ModuleList(Block() for _ in range(DEPTH))
    readout = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES))
    net = nn.Sequential(embed, *blocks, readout)
    feedback = [torch.randn(WIDTH, CLASSES) / CLASSES**0.5 for _ in range(DEPTH + 1)]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    x_all, y_all = torch.randn(samples, INPUTS), torch.randint(CLASSES, (samples,))
    recorder = Recorder(net, [embed, *blocks])

    def credit(logits, y):
        e = logits.softmax(1) - one_hot(y, CLASSES)
        return [e @ b.T for b in feedback]

    def epoch():
        for rows in torch.randperm(samples).split(BATCH):
            x, y = x_all[rows], y_all[rows]
            h = embed(x)
            branches, h = [h], h.detach()
            for block in blocks:
                branches.append(block.branch(h))
                h = (h + branches[-1]).detach()
            logits = readout(h)
            loss = cross_entropy(logits, y)
            a = credit(logits.detach(), y)
            for branch, a_l in zip(branches, [a[0], *a]):
                loss = loss + (branch * a_l / (a_l.square().mean(1, keepdim=True).sqrt() + 1e-6)).sum() / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def measure(number):
        for k in range(batches):
            x, y = x_all[k * BATCH:(k + 1) * BATCH], y_all[k * BATCH:(k + 1) * BATCH]
            recorder.measure(x, y, lambda hidden, logits, y=y: credit(logits, y))
        return recorder.conclude(number)

    return epoch, measure


def in_jax(samples: int, batches: int):
    import jax
    import jax.numpy as jnp

    from fa_audit.jax import Recorder

    keys = iter(jax.random.split(jax.random.key(0), 64))

    def linear(inputs, outputs):
        return {"w": jax.random.normal(next(keys), (inputs, outputs)) / inputs**0.5, "b": jnp.zeros(outputs)}

    params = {"embed": linear(INPUTS, WIDTH), "blocks": [[linear(WIDTH, WIDTH), linear(WIDTH, WIDTH)] for _ in range(DEPTH)],
              "readout": linear(WIDTH, CLASSES)}
    feedback = [jax.random.normal(next(keys), (WIDTH, CLASSES)) / CLASSES**0.5 for _ in range(DEPTH + 1)]
    x_all, y_all = (jax.random.normal(next(keys), (samples, INPUTS)),
                    jax.random.randint(next(keys), (samples,), 0, CLASSES))

    def apply(layer, h):
        return h @ layer["w"] + layer["b"]

    def norm(h):
        return (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)

    def branch(block, h):
        return apply(block[1], jax.nn.gelu(apply(block[0], norm(h))))

    def forward(params, x, tap):
        h = tap(apply(params["embed"], x))
        for block in params["blocks"]:
            h = tap(h + branch(block, h))
        return apply(params["readout"], norm(h))

    def credit(logits, y):
        e = jax.nn.softmax(logits) - jax.nn.one_hot(y, CLASSES)
        return [e @ b.T for b in feedback]

    def local_loss(params, x, y):
        h = apply(params["embed"], x)
        branches, h = [h], jax.lax.stop_gradient(h)
        for block in params["blocks"]:
            branches.append(branch(block, h))
            h = jax.lax.stop_gradient(h + branches[-1])
        logits = apply(params["readout"], norm(h))
        loss = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))
        a = credit(jax.lax.stop_gradient(logits), y)
        for out, a_l in zip(branches, [a[0], *a]):
            loss = loss + (out * a_l / (jnp.sqrt((a_l**2).mean(1, keepdims=True)) + 1e-6)).sum() / len(x)
        return loss

    @jax.jit
    def step(params, moments, count, x, y):  # AdamW
        gradient = jax.grad(local_loss)(params, x, y)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradient)

        def moved(p, m, v):
            return p - 1e-3 * (m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8) + 0.01 * p)

        return jax.tree.map(moved, params, first, second), (first, second)

    state = {"params": params, "moments": (jax.tree.map(jnp.zeros_like, params),) * 2, "time": 0}
    recorder = Recorder(forward)

    def epoch():
        for k in range(samples // BATCH):
            rows = slice(k * BATCH, (k + 1) * BATCH)
            state["time"] += 1
            state["params"], state["moments"] = step(state["params"], state["moments"], float(state["time"]), x_all[rows],
                                                     y_all[rows])
        jax.block_until_ready(state["params"])

    def measure(number):
        for k in range(batches):
            x, y = x_all[k * BATCH:(k + 1) * BATCH], y_all[k * BATCH:(k + 1) * BATCH]
            recorder.measure(state["params"], x, y, lambda hidden, logits, y=y: credit(logits, y))
        return recorder.conclude(number)

    return epoch, measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--framework", choices=["pytorch", "jax"], default="pytorch")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--batches", type=int, default=2, help="that are measured")
    parser.add_argument("--pairs", type=int, default=6)
    args = parser.parse_args()
    epoch, measure = {"pytorch": in_pytorch, "jax": in_jax}[args.framework](args.samples, args.batches)

    def timed(recorded: bool, number: int) -> list[float]:
        """CPU seconds and the clock's, of the epoch and of measuring."""
        marks = [(time.process_time(), time.perf_counter())]
        epoch()
        marks.append((time.process_time(), time.perf_counter()))
        if recorded:
            measure(number)
        marks.append((time.process_time(), time.perf_counter()))
        return [marks[i + 1][j] - marks[i][j] for i in (0, 1) for j in (0, 1)]

    epoch()
    with_, without = [], []
    for number in range(args.pairs + 1):
        for recorded in ((True, False), (False, True))[number % 2]:
            (with_ if recorded else without).append(timed(recorded, number + 1))
    first = with_[0]
    print(f"{args.framework}, {args.samples} samples an epoch, {args.batches} batches of {BATCH} measured")
    print(f"  first measurement {first[2]:.3f} s CPU, {first[3]:.3f} s")
    for name, i in (("CPU", 0), ("clock", 1)):
        own = [pair[i + 2] / pair[i] for pair in with_[1:]]
        turns = [(a[i] + a[i + 2]) / b[i] - 1 for a, b in zip(with_[1:], without[1:])]
        print(f"  {name}: epoch {statistics.median(p[i] for p in without[1:]):.2f} s; measuring over its epoch "
              f"{100 * statistics.median(own):.2f} % ({100 * min(own):.2f} to {100 * max(own):.2f}); epoch with over the one "
              f"without {100 * statistics.median(turns):+.2f} % ({100 * min(turns):+.2f} to {100 * max(turns):+.2f})")


if __name__ == "__main__":
    main()
