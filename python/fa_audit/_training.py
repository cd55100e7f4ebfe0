"""What the callbacks for Lightning and for Hugging Face's Trainer share: a training's evaluations are measured, and its
end is recorded and judged."""

from __future__ import annotations

import fnmatch
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fa_audit._program import Verdict, diagnose, program
from fa_audit.torch import Forward, Loss, Recorder, _map, _metadatum

Layers = Callable[[nn.Module], Sequence[nn.Module]] | Sequence[str | nn.Module]
Credit = Callable[[list[Tensor], Tensor, Tensor], Sequence[Tensor]]
Batch = tuple[Any, Tensor]

OPTIONS = """\
    `layers` are the modules whose outputs are h_0 ... h_L: their names, where * stands for what lies between two dots
    (["embed", "blocks.*"]), or a function of the network that returns them. `credit(hidden, logits, y)` returns the
    method's a_0 ... a_L, each [N, d], of hidden states h_0 ... h_L, logits [N, classes] and classes y [N]; without it only
    growth, reference, stability and depth are judged.

    Every `every`-th evaluation `measured` of its batches are reduced to norms and cosines, a line each in `out`/history.jsonl.
    When the training ends, its network is recorded on `batches` of the last evaluation's batches, of at most 128
    samples each, in `out`/trace.safetensors, judged by fa-audit, and the verdict is printed and kept as `verdict`.

    `accuracy` is the name of the metric that is the accuracy on the whole test set, a fraction; `frozen_accuracy` that of
    the same network with frozen blocks, or `frozen` a trace of it: without them depth utility is not evaluated, and
    nothing is called trustworthy. `loss(logits, y)` is the loss behind the reference gradient, a mean or a sum over the
    batch. All else is metadata of the trace: method, arch, dataset, seed, epochs, terminal_norm, tokens, credit_trains."""

SAMPLES = 128  # of a batch: the floor of the reference was calibrated at so many


class Training:
    """One training: `evaluated` after each evaluation, `finish` at its end."""

    def __init__(self, layers: Layers, credit: Credit | None, every: int, measured: int, batches: int,
                 out: str | os.PathLike[str], accuracy: str | None, frozen_accuracy: float | None,
                 frozen: str | os.PathLike[str] | None, loss: Loss, forward: Forward, metadata: Mapping[str, Any]) -> None:
        for name, value in (("every", every), ("measured", measured), ("batches", batches)):
            if value < 1:
                raise ValueError(f"{name} = {value}: expected a whole number from 1")
        for key, value in {**metadata, "frozen_accuracy": frozen_accuracy}.items():
            if value is not None:
                _metadatum(key, value, sys.maxsize)
        program()  # not found out after the training
        self.layers, self.credit, self.every, self.measured, self.batches = layers, credit, every, measured, batches
        self.out, self.accuracy, self.frozen = Path(out), accuracy, frozen
        self.loss, self.forward = loss, forward
        self.metadata = {**metadata, "frozen_accuracy": frozen_accuracy}
        self.recorder: Recorder | None = None
        self.count = 0
        self.seconds = 0.0  # that recording took
        self.started = time.perf_counter()
        self.verdict: Verdict | None = None

    def start(self) -> None:
        self.count, self.seconds, self.started, self.verdict, self.recorder = 0, 0.0, time.perf_counter(), None, None

    def evaluated(self, net: nn.Module, batches: Sequence[Batch], epoch: int, step: int,
                  metrics: Mapping[str, Any] | None) -> None:
        """An evaluation has ended, of which these were the first batches. `metrics` None: before the training."""
        if metrics is not None:
            self.count += 1
            if self.count % self.every:
                return
        began = time.perf_counter()
        recorder = self.recorder = self.recorder or self._recorder(net)
        for x, y in batches[: self.measured]:
            recorder.measure(x, y, self._credit_of(y))
        recorder.conclude(epoch, None if metrics is None else self._accuracy(metrics), step)
        self.out.mkdir(parents=True, exist_ok=True)
        recorder.save_history(self.out / "history.jsonl")
        self.seconds += time.perf_counter() - began

    def finish(self, net: nn.Module, batches: Sequence[Batch], epoch: int, metrics: Mapping[str, Any]) -> None:
        """Records the trained network, and has it judged."""
        if not batches:
            print("fa-audit: nothing was evaluated, and so nothing recorded", file=sys.stderr)
            return
        whole = time.perf_counter() - self.started
        recorder = self.recorder = self.recorder or self._recorder(net)
        for x, y in batches[: self.batches]:
            recorder.record(x, y, self._credit_of(y))
        self.out.mkdir(parents=True, exist_ok=True)
        trace = self.out / "trace.safetensors"
        recorder.save(trace, epoch=epoch, accuracy=self._accuracy(metrics), **self.metadata)
        self.verdict = diagnose(trace, frozen=self.frozen)
        share = f"{100 * self.seconds / whole:.2g} % of the training's {whole:.3g} s"
        print(f"\nmeasuring {len(recorder.history)} evaluations took {self.seconds:.2g} s, {share}\n{self.verdict}")

    def _recorder(self, net: nn.Module) -> Recorder:
        said = {key: self.metadata[key] for key in ("tokens", "credit_trains") if key in self.metadata}
        return Recorder(net, modules(net, self.layers), self.loss, forward=self.forward, **said)

    def _credit_of(self, y: Tensor) -> Callable[[list[Tensor], Tensor], Sequence[Tensor]] | None:
        credit = self.credit
        return None if credit is None else lambda hidden, logits: credit(hidden, logits, y)

    def _accuracy(self, metrics: Mapping[str, Any]) -> float | None:
        if self.accuracy is None:
            return None
        if self.accuracy not in metrics:
            raise ValueError(f"accuracy = {self.accuracy!r}: no metric of that name; there are {', '.join(metrics)}")
        return float(metrics[self.accuracy])


def modules(net: nn.Module, layers: Layers) -> list[nn.Module]:
    """The modules that `layers` names, in the order of the names, those of one name in the network's."""
    if callable(layers):
        return list(layers(net))
    found: list[nn.Module] = []
    named = dict(net.named_modules())
    for layer in layers:
        if isinstance(layer, nn.Module):
            found.append(layer)
            continue
        depth = layer.count(".")
        fits = [name for name in named if name.count(".") == depth and fnmatch.fnmatchcase(name, layer)]
        if not fits:
            raise ValueError(f"layers: no module is called {layer}; there are {', '.join(list(named)[1:40])}")
        found += [named[name] for name in fits]
    return found


def cut(x: Any, y: Tensor) -> Batch:
    """The first samples of a batch: of every tensor that has as many rows as y [N]."""
    if len(y) <= SAMPLES:
        return x, y
    rows = len(y)
    return _map(x, lambda t: t[:SAMPLES] if t.dim() and len(t) == rows else t), y[:SAMPLES]


def moved(batch: Batch, device: torch.device) -> Batch:
    return _map(batch[0], lambda t: t.to(device)), batch[1].to(device)
