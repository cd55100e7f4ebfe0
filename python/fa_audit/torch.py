"""Records a trace of a PyTorch network for `fa-audit diagnose`. Needs torch (2.4 or later), and safetensors for
.safetensors or numpy for .npz. One file: `fa-audit recorder torch > fa_recorder.py` prints it for those who copy.

    from fa_audit.torch import Recorder                             # of a copy: from fa_recorder import Recorder
    recorder = Recorder(net, layers=[net.embed, *net.blocks])       # modules whose outputs are h_0 ... h_L
    for x, y in evaluation_batches:                                 # ten of 128, never shuffled
        recorder.record(x, y, credit=lambda h, logits: [...])       # the method's a_0 ... a_L, each [N, d]
    recorder.save("trace.safetensors", method="dfa", arch="mlp", seed=42, epoch=30,
                  accuracy=0.31, frozen_accuracy=0.35)              # fractions, on the whole test set

A training is followed by `measure` in the place of `record`: each batch is reduced to norms and cosines of its samples,
and no tensor is kept.

    for x, y in evaluation_batches[:2]:                             # every epoch
        recorder.measure(x, y, credit=lambda h, logits: [...])
    recorder.conclude(epoch=3)                                      # a line of recorder.history
    recorder.save_history("history.jsonl")

The reference gradient g_l is backpropagation's, taken by hooks in one uncut backward pass, and proved: h_l is
moved along +g_l and -g_l, and along a random direction, and the loss must change as g_l says. A gradient that
hooks have replaced by a credit does not. The proof stands in the trace; without it fa-audit says so. Where the
network's own backward pass *is* the method (BioTorch), give its plain twin as `reference`, a network of the
same weights: then a_l is what the network's own backward pass brings to h_l, and g_l what the twin's does.

Recording leaves the network as it was: parameters, .grad, running statistics, modes, random numbers. Networks in
train mode are recorded in eval mode; compiled ones run uncompiled, DistributedDataParallel without its wrapper.
Under autocast the gradient is autocast's, the proof in float64. A recording that cannot be right is a ValueError.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import itertools
import json
import math
import operator
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
Forward = Callable[[Any, Any, Tensor], Tensor]
Credit = Callable[[list[Tensor], Tensor], Sequence[Tensor]]

# How far rounding may take a recorded gradient: this share of its norm, and so many units in the last place of the
# gradient that would change the loss by itself were h_l moved by its own length.
ROUNDING, UNITS = 0.1, 4
# Of modules that behave otherwise in training.
MODAL = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd, nn.RReLU)


class Recorder:
    def __init__(self, net: nn.Module, layers: Sequence[nn.Module], loss: Loss = nn.functional.cross_entropy,
                 loss_reduction: str | None = None, forward: Forward = lambda net, x, y: net(x),
                 reference: nn.Module | None = None, reference_layers: Sequence[nn.Module] | None = None,
                 tokens: str | None = None, credit_trains: Sequence[int] | None = None) -> None:
        """`loss(logits [N, classes], y [N])` is a scalar, the mean or the sum over the batch: which of them is
        measured, and held against `loss_reduction` where that is given. `forward` calls the network where
        `net(x)` does not; `reference` and `reference_layers` are the plain twin, called as `reference(x)`. Of states
        [N, tokens, d] `tokens` says which is measured, cls (the first, as where nothing is said) or mean;
        `credit_trains` are the layers l whose a_l trains a block, where they are not 0 ... L-1."""
        if loss_reduction not in (None, "mean", "sum"):
            raise ValueError(f"loss_reduction is {loss_reduction!r}: expected mean or sum")
        if (reference is None) != (reference_layers is None):
            raise ValueError("reference and reference_layers belong together: one was given")
        self.net = _Network("net", net, layers, forward, loss)
        self.reference = None
        if reference is not None and reference_layers is not None:
            self.reference = _Network("reference", reference, reference_layers, lambda net, x, y: net(x), loss)
            if len(self.reference.layers) != len(self.net.layers):
                raise ValueError(f"{len(self.net.layers)} layers, but {len(self.reference.layers)} reference_layers")
        self.loss, self.loss_reduction = loss, loss_reduction
        said: dict[str, Any] = {"tokens": tokens, "credit_trains": credit_trains}
        self.said = {key: value for key, value in said.items() if value is not None}
        for key, value in self.said.items():
            _metadatum(key, value, len(self.net.layers))
        self.tensors: dict[str, Tensor] = {}
        self.batches = 0
        self.proof: list[dict[str, Any]] = []  # of each layer on the first batch
        self.proved = True
        self.right = self.samples = 0
        self.history: list[dict[str, Any]] = []  # a line an evaluation, as `conclude` describes it
        self._measured: list[_Measured] = []

    def record(self, x: Any, y: Tensor, credit: Credit | None = None) -> None:
        """One batch: inputs x, whatever `forward` takes, and classes y [N]. `credit(hidden, logits)` returns a_0 ...
        a_L, each as h_l or [N, d]; without it and without a `reference` no credit is recorded."""
        with self._awake():
            x, y = _usable(x), _usable(y)
            fields, seen, network, plain = self._observe(x, y, credit)
            self._judge_loss(plain.logits, y)
            self._prove(network, x, y, plain)
            k = self.batches
            found = {f"batch.{k}.{field}.{l}": _stored(state)
                     for field, states in fields.items() for l, state in enumerate(states)}
            found[f"batch.{k}.logits"], found[f"batch.{k}.labels"] = _stored(seen.logits), _stored(y.long())
            if credit is not None:
                found |= {f"batch.{k}.a.{l}": _stored(state) for l, state in enumerate(_given(credit, seen))}
        layout = {name.split(".", 2)[2] for name in found}
        if k and layout != (first := {name.split(".", 2)[2] for name in self.tensors if name.startswith("batch.0.")}):
            raise ValueError(f"batch {k} and batch 0 do not hold the same: {', '.join(sorted(layout ^ first))}")
        self.tensors |= found
        self.batches += 1
        self.samples += len(y)
        self.right += int((seen.logits.argmax(1) == y).sum())

    def measure(self, x: Any, y: Tensor, credit: Credit | None = None) -> None:
        """One batch of an evaluation, given as to `record`, reduced to norms and cosines of its samples. That the gradient
        is the loss's is checked on the first batch of each evaluation, by one pair of forward passes in which every
        h_l is moved along g_l; where they say no, and in the first evaluation, by finite differences in float64."""
        with self._awake():
            x, y = _usable(x), _usable(y)
            started, first = time.perf_counter(), not self._measured
            thorough = first and not self.history
            fields, seen, network, plain = self._observe(x, y, credit, twice=thorough)
            if thorough:
                self._judge_loss(plain.logits, y)
            check = self._check(network, x, y, plain, thorough) if first else None
            with torch.no_grad():
                tokens = self.said.get("tokens", "cls")
                h, g = _rows(fields["h"], tokens), _rows(fields["g"], tokens)
                sizes = [_sizes(h), _sizes(g)]
                a = _given(credit, seen) if credit is not None else fields.get("a")
                if a is not None:
                    sizes += [_sizes(_rows(a, tokens)), _cosines(_rows(a, tokens), g)]
                value = float(self.loss(seen.logits, y))
                right = int((seen.logits.argmax(1) == y).sum())
            scale = 1 / len(y) if self.loss_reduction == "sum" else 1.0
            if self._measured and len(self._measured[0].sizes) != len(sizes):
                raise ValueError("one batch of this evaluation has a credit and another has none")
            self._measured.append(_Measured([_host(t) for t in sizes], len(y), right, value * scale, scale, check,
                                            time.perf_counter() - started))

    def conclude(self, epoch: int, test_accuracy: float | None = None, step: int | None = None) -> dict[str, Any]:
        """Ends an evaluation, and returns its line of `history`: `epoch` and `step` of the training; `samples` that were measured, `recorded_loss`
        (their mean) and `recorded_accuracy`; `test_accuracy`, where it is given, the whole test set's; `hidden_norms`
        [L + 1], mean |h_l|; `gradient_norms` [L + 1], median |g_l| of the batch-mean loss; `growth`, the largest
        factor of mean |h_l| over one block; where a credit was given `cosine` [L + 1], the mean of cos(a_l, g_l),
        `global_cosine`, that of the layers that train joined, and `relative_scale` [L + 1], median |a_l| over median
        |g_l| relative to the median layer; `check`, the loss's change along g_0 ... g_L over what they say, its relative
        error, and whether the reference is proved; `seconds` that measuring took. What is not finite is a string."""
        if not self._measured:
            raise ValueError("nothing to conclude: measure() was not called")
        metadata = {"epoch": epoch, **({} if test_accuracy is None else {"accuracy": test_accuracy})}
        for key, value in metadata.items():
            _metadatum(key, value, len(self.net.layers))
        measured, self._measured = self._measured, []
        line = _line(measured, sorted(self.said.get("credit_trains", ())))
        head: dict[str, Any] = {"epoch": operator.index(epoch)}
        if step is not None:
            head["step"] = operator.index(step)
        if test_accuracy is not None:
            head["test_accuracy"] = float(test_accuracy)
        self.history.append(head | line)
        return self.history[-1]

    def save_history(self, path: str | os.PathLike[str]) -> None:
        """Writes `history`, one JSON object a line."""
        part = Path(f"{os.fspath(path)}.part")
        part.write_text("".join(json.dumps(line, allow_nan=False) + "\n" for line in self.history), encoding="utf-8")
        os.replace(part, path)

    def save(self, path: str | os.PathLike[str], **metadata: Any) -> None:
        """Writes .safetensors or .npz. Metadata: method, arch, dataset, seed, epoch, epochs, accuracy,
        frozen_accuracy, terminal_norm, tokens (cls or mean, where states are [N, tokens, d]), and credit_trains,
        the layers l whose a_l trains a block. What is wrong there is a ValueError, after the rest was written."""
        if not self.batches:
            raise ValueError("nothing to save: record() was not called")
        good = {"fa_trace": "1", "reference_check": json.dumps(self.proof),
                "reference_proved": str(self.proved).lower()}
        if self.loss_reduction is not None:
            good["loss_reduction"] = self.loss_reduction
        wrong = []
        for key, value in (self.said | metadata).items():
            if value is not None:
                try:
                    good[key] = _metadatum(key, value, len(self.net.layers))
                except ValueError as error:
                    wrong.append(str(error))
        path = Path(path)
        if path.suffix.lower() not in (".safetensors", ".npz"):
            wrong.append(f"`{path.name}` ends neither in .safetensors nor in .npz")
            path = path.with_name(path.name + ".safetensors")
        _write(path, self.tensors, good)
        self._doubt(good)
        if wrong:
            raise ValueError(f"{path} holds the recording without this: {'; '.join(wrong)}")

    @contextlib.contextmanager
    def _awake(self) -> Iterator[None]:
        """Autograd, and random numbers and compiled code as they were afterwards."""
        with _undisturbed(self.net.device), torch.inference_mode(False), torch.enable_grad():
            yield

    def _observe(self, x: Any, y: Tensor, credit: Credit | None, twice: bool = True,
                 ) -> tuple[dict[str, Sequence[Tensor]], _Seen, _Network, _Seen]:
        """h and g of a batch, of a pair of networks a, each at h_0 ... h_L; what was seen in the network; and the network
        whose gradient is the reference, with what was seen in that. `twice`: whether a second pass must agree."""
        if credit is not None and self.reference is not None:
            raise ValueError("credit and reference both say what the credit is: give one")
        seen = self.net.observe(x, y, keep_mode=self.reference is not None, twice=twice)
        fields: dict[str, Sequence[Tensor]] = {"h": seen.hidden, "g": seen.gradient}
        network, plain = self.net, seen
        if self.reference is not None:
            network, plain = self.reference, self.reference.observe(x, y, twice=twice)
            _same_network(seen, plain)
            fields |= {"g": plain.gradient, "a": seen.gradient}
        return fields, seen, network, plain

    def _check(self, network: _Network, x: Any, y: Tensor, seen: _Seen, thorough: bool) -> dict[str, Any]:
        """The slope along g_0 ... g_L together, in the network's own precision; in float64 where that sees another
        than the gradient's, or where `thorough`."""
        slope, limit = network.slope_together(x, y, seen), IN_SINGLE.limit
        if thorough or not slope.error <= limit:
            (slope,), limit = network.differences(x, y, seen, together=True)
        proved = slope.error <= limit and not slope.lost
        if not proved:
            warnings.warn(
                f"the gradient measured at h_0 ... h_L is not that of the loss (relative error "
                f"{max(slope.error, slope.lost):.2g}, over {limit:g}): hooks that replace gradients (DFA) must be off while "
                f"the reference is measured, or a plain twin given as `reference`", stacklevel=3)
        return {"ratio": _finite(slope.ratio), "relative_error": _finite(max(slope.error, slope.lost)), "proved": proved}

    def _judge_loss(self, logits: Tensor, y: Tensor) -> None:
        """Whether the loss is a mean or a sum: for the same batch twice, the gradient of one copy is half or as
        it was. What the loss says of itself and what the recorder was told must agree."""
        def size(logits: Tensor, classes: Tensor) -> float:
            logits = logits.detach().clone().requires_grad_()
            gradient = torch.autograd.grad(self.loss(logits, classes), logits)[0]
            return float(_host(gradient[: len(y)]).norm())

        once, twice = size(logits, y), size(torch.cat([logits, logits]), torch.cat([y, y]))
        share = twice / once if once else math.nan
        if not math.isfinite(share):  # no gradient to compare
            return
        measured = "mean" if abs(share - 0.5) < 0.01 else "sum" if abs(share - 1) < 0.01 else None
        if measured is None:
            raise ValueError(f"the loss is neither a mean nor a sum over the batch: for the same batch twice, the "
                             f"gradient of one copy is {share:.3g} of what it was")
        keywords = self.loss.keywords if isinstance(self.loss, functools.partial) else {}
        own = keywords.get("reduction", getattr(self.loss, "reduction", None))
        for said, who in ((self.loss_reduction, "loss_reduction"), (own, "the loss's own reduction")):
            if said not in (None, measured):
                raise ValueError(f"{who} is {said}, but for the same batch twice the loss is a {measured}")
        self.loss_reduction = measured

    def _prove(self, network: _Network, x: Any, y: Tensor, seen: _Seen) -> None:
        """Each layer on the first batch, all of them together on the others."""
        slopes, limit = network.differences(x, y, seen, together=self.batches > 0)
        proved = all(slope.error <= limit and not slope.lost for slope in slopes)
        self.proved &= proved
        if not self.batches:
            self.proof = [{"layer": l, "relative_error": _finite(max(s.error, s.lost)), "ratio": _finite(s.ratio)}
                          for l, s in enumerate(slopes)]
            ratios = " ".join(f"{slope.ratio:.6f}" for slope in slopes)
            print(f"the loss changes along g_0 ... g_L, over what they say: {ratios}; largest relative error "
                  f"{max(slope.error for slope in slopes):.1e}", file=sys.stderr)
        names = ["all layers together"] if self.batches else [f"h_{l} {name}" for l, name in enumerate(network.names)]
        if false := [name for name, slope in zip(names, slopes) if not slope.error <= limit]:
            warnings.warn(
                f"batch {self.batches}: the gradient recorded at {', '.join(false)} is not that of the loss (relative "
                f"error over {limit:g}). Hooks that replace gradients (DFA) must be off while the reference is recorded, "
                f"or a plain twin given as `reference`; half precision resolves nothing where it is all there is",
                stacklevel=3)
        elif not proved:
            lost = [name for name, slope in zip(names, slopes) if slope.lost]
            warnings.warn(
                f"batch {self.batches}: the gradient recorded at {', '.join(lost)} is not float64's (relative distance "
                f"{max(slope.lost for slope in slopes):.2g}): digits are lost; record in float64, net.double() and "
                f"x.double()", stacklevel=3)

    def _doubt(self, metadata: Mapping[str, str]) -> None:
        """Warns of what is possible and unlikely."""
        share = self.right / self.samples
        if "accuracy" in metadata:
            stated = float(metadata["accuracy"])
            deviation = math.sqrt(max(stated * (1 - stated), 1e-4) / self.samples)
            if abs(share - stated) > 5 * deviation:
                warnings.warn(f"accuracy = {stated:g}, but of the recorded samples {self.right} of {self.samples} are "
                              f"classified correctly ({share:.3g})", stacklevel=3)
        top = self.tensors[f"batch.0.g.{len(self.net.layers) - 1}"]
        if top.dim() == 3 and metadata.get("tokens", "cls") == "cls" and not top[:, 0].any():
            warnings.warn('no gradient reaches the first token of h_L: the head reads another; save with tokens="mean"',
                          stacklevel=3)


class _Seen(NamedTuple):
    hidden: list[Tensor]
    gradient: list[Tensor]
    logits: Tensor

    def rounding(self) -> float:
        """The coarsest of what it was computed in."""
        kinds = {t.dtype for t in (*self.hidden, *self.gradient, self.logits)}
        if torch.is_autocast_enabled(self.logits.device.type):
            kinds.add(torch.get_autocast_dtype(self.logits.device.type))
        return max(torch.finfo(kind).eps for kind in kinds)


class _Measured(NamedTuple):
    """A measured batch on the host: |h_l|, |g_l|, |a_l| and cos(a_l, g_l), each [L + 1, N], the last two where there is a
    credit; samples, how many of them are right, the batch-mean loss, the gradient of it over the recorded one."""
    sizes: list[Tensor]
    samples: int
    right: int
    loss: float
    scale: float
    check: dict[str, Any] | None
    seconds: float


def _line(measured: Sequence[_Measured], trains: Sequence[int]) -> dict[str, Any]:
    """The samples of all batches pooled, as in the audit of a trace."""
    samples = sum(batch.samples for batch in measured)
    loss = sum(batch.loss * batch.samples for batch in measured) / samples
    h = torch.cat([batch.sizes[0] for batch in measured], 1)
    g = torch.cat([batch.sizes[1] * batch.scale for batch in measured], 1)
    means = h.mean(1).tolist()
    grown = (h.mean(1)[1:] / h.mean(1)[:-1].where(h.mean(1)[:-1].isfinite(), math.nan)).tolist()
    line: dict[str, Any] = {
        "samples": samples, "recorded_loss": _finite(loss),
        "recorded_accuracy": sum(batch.right for batch in measured) / samples,
        "hidden_norms": _all_finite(means), "gradient_norms": _all_finite(_median(g).tolist()),
        "growth": _finite(math.nan if any(map(math.isnan, grown)) else max(grown)) if grown else None}
    if len(measured[0].sizes) > 2:
        a, cosine = (torch.cat([batch.sizes[i] for batch in measured], 1) for i in (2, 3))
        recorded = torch.cat([batch.sizes[1] for batch in measured], 1)
        rows = list(trains) or list(range(max(len(a) - 1, 1)))
        lengths = a[rows].square().sum(0).sqrt() * recorded[rows].square().sum(0).sqrt()
        joined = (cosine * a * recorded)[rows].sum(0) / lengths.clamp(min=1e-300)
        scales = _median(a) / _median(recorded)
        finite = scales[rows][scales[rows].isfinite()]
        middle = _median(finite[None])[0] if len(finite) else torch.tensor(math.nan)
        line |= {"cosine": _all_finite(cosine.mean(1).tolist()), "global_cosine": _finite(float(joined.mean())),
                 "relative_scale": _all_finite((scales / middle).tolist())}
    return line | {"check": measured[0].check, "seconds": sum(batch.seconds for batch in measured)}


def _rows(states: Sequence[Tensor], tokens: str) -> list[Tensor]:
    """Each state as [N, d], at least in single precision."""
    found = []
    for state in states:
        state = state.detach()
        state = state if state.dtype == torch.float64 else state.float()
        if state.dim() == 3:
            state = state[:, 0] if tokens == "cls" else state.mean(1)
        found.append(state.flatten(1))
    return found


def _scaled(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [N, d] over their largest entry, and that [N, 1]: squares neither overflow nor vanish."""
    largest = rows.abs().amax(1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    return rows / largest, largest


def _sizes(states: Sequence[Tensor]) -> Tensor:
    """|h_l| of each sample, [L + 1, N]."""
    scaled = [_scaled(rows) for rows in states]
    return torch.stack([rows.norm(dim=1) * largest[:, 0] for rows, largest in scaled])


def _cosines(credit: Sequence[Tensor], gradient: Sequence[Tensor]) -> Tensor:
    """cos(a_l, g_l) of each sample, [L + 1, N]; with a norm under 1e-30 near zero, as in the audit."""
    found = []
    for pair in zip(credit, gradient):
        units, whole = [], torch.ones((), device=pair[0].device)
        for rows, largest in map(_scaled, pair):
            length = rows.norm(dim=1, keepdim=True)
            units.append(rows / length.clamp(min=1e-30))
            whole = whole * (length * largest / 1e-30).clamp(max=1)[:, 0]
        found.append((units[0] * units[1]).sum(1) * whole)
    return torch.stack(found)


def _median(rows: Tensor) -> Tensor:
    """Over the samples; of an even number the mean of the middle two."""
    return rows.quantile(0.5, dim=1)


class _Slope(NamedTuple):
    """The loss's change along g_l over what g_l predicts, and the larger relative error of this and of the change
    along a random direction, whose scale is |g_l| / sqrt(values). Where g_l predicts a change that cannot be seen, the
    ratio is 1 if none is seen, else infinite."""
    ratio: float
    error: float
    lost: float = 0.0  # relative distance of the recorded g_l from float64's, where that is more than rounding


class _Precision(NamedTuple):
    """Of a proof: of a loss; moves as shares of |h_l|, usual and largest; the largest relative error."""
    eps: float
    usual: float
    largest: float
    limit: float


# Moves must be small beside the kinks of a ReLU. In single precision the change along a random direction, which is
# small, cannot be seen then, and is left out.
IN_DOUBLE, IN_SINGLE = _Precision(2.2e-16, 1e-6, 1e-3, 1e-3), _Precision(1.2e-7, 1e-3, 3e-2, 0.05)
# Where the loss bends within a move, it is tried once more by these; a false gradient agrees with none.
SMALLER = (1.0, 1e-2, 1e-4)


class _Network:
    """A network, the modules whose outputs are its states, how it is called, and its loss."""

    def __init__(self, role: str, net: nn.Module, layers: Sequence[nn.Module], forward: Forward, loss: Loss) -> None:
        self.role, self.net, self.layers, self.forward, self.loss = role, _plain(net), list(layers), forward, loss
        if not self.layers:
            raise ValueError(f"{role} has no layers: expected the modules whose outputs are h_0 ... h_L")
        names = {id(module): f"`{name}`" for name, module in self.net.named_modules()}
        for l, layer in enumerate(self.layers):
            if isinstance(layer, torch.jit.ScriptModule):
                raise ValueError(f"layers[{l}] was made by torch.jit, which calls no hooks: give the network before that")
            if id(layer) not in names:
                raise ValueError(f"layers[{l}] ({type(layer).__name__}) is no module of {role}: its hook would never "
                                 f"be called")
            if (first := next(i for i, other in enumerate(self.layers) if other is layer)) < l:
                raise ValueError(f"layers[{first}] and layers[{l}] are the same module, {names[id(layer)]}")
        self.names = [f"({names[id(layer)]}, {type(layer).__name__})" for layer in self.layers]
        tensors = itertools.chain(self.net.parameters(), self.net.buffers())
        self.device = next((t.device for t in tensors), torch.device("cpu"))

    def observe(self, x: Any, y: Tensor, keep_mode: bool = False, twice: bool = True) -> _Seen:
        """h_l, what the backward pass brings to it, and the logits [N, classes]. `keep_mode`: only dropout and
        norms are put into eval mode. `twice`: whether a second forward pass must give the same."""
        with _as_it_is(self.net, keep_mode):
            seen = self._observe(x, y)
            again = self._logits(x, y) if twice else seen.logits
        if (far := _distance(again, seen.logits)) > 1e-4:
            raise ValueError(f"two forward passes of the same batch differ by {far:.1e}, relatively: something draws at "
                             f"random in eval mode (dropout without training=self.training), or keeps a state")
        for l, h in enumerate(seen.hidden):
            if h.dim() < 2 or len(h) != len(again):
                raise ValueError(f"h_{l} {self.names[l]} is {list(h.shape)}: expected the {len(again)} samples first, "
                                 f"[N, d] or [N, tokens, d]")
        return seen

    def _observe(self, x: Any, y: Tensor) -> _Seen:
        with _Taps(self) as taps:
            logits = self._logits(x, y)
            value = self.loss(logits, y)
            taps.check()
            if value.dim():
                raise ValueError(f"the loss is of shape {list(value.shape)}: expected a scalar, the mean or the sum over "
                                 f"the batch")
            if not value.requires_grad:
                raise ValueError("the loss depends on no state: something behind them is detached (detach(), no_grad(), "
                                 ".data)")
            reached = torch.autograd.grad(value, taps.kept, allow_unused=True)
        for l, g in reversed(list(enumerate(reached))):
            if g is None:
                above = f"h_{l + 1} {self.names[l + 1]}" if l + 1 < len(reached) else "the loss"
                raise ValueError(f"no gradient reaches h_{l} {self.names[l]}: {above} does not depend on it, or what lies "
                                 f"between is detached (detach(), no_grad(), .data, a layer-wise training step); record "
                                 f"an uncut forward pass")
        return _Seen(taps.values, [taps.brought[l] for l in range(len(reached))], logits.detach())

    def _logits(self, x: Any, y: Tensor) -> Tensor:
        logits = self.forward(self.net, x, y)
        if not isinstance(logits, Tensor):
            remedy = ".logits" if hasattr(logits, "logits") else "[...]"
            raise ValueError(f"{self.role} returns {type(logits).__name__}: expected logits; give "
                             f"forward=lambda net, x, y: net(x){remedy}")
        if logits.dim() != 2:
            raise ValueError(f"the logits are {list(logits.shape)}: expected [N, classes]")
        if not isinstance(y, Tensor) or y.shape != logits.shape[:1] or y.is_floating_point() or y.is_complex():
            found = f"{list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(f"y is {found}: expected a tensor of classes [{len(logits)}], integers; a loss that wants "
                             f"them otherwise can make that of them")
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < logits.shape[1]:
            raise ValueError(f"y holds {int(y.min())} ... {int(y.max())}: expected classes 0 ... {logits.shape[1] - 1}")
        return logits

    def differences(self, x: Any, y: Tensor, seen: _Seen, together: bool) -> tuple[list[_Slope], float]:
        """The slope at every layer, or one for all together; and the largest error of a proved one."""
        rounding = seen.rounding()
        with torch.autocast(self.device.type, enabled=False), _as_it_is(self.net, False):
            try:
                with _in_double(self.net, self.loss):
                    doubled = _map(x, lambda t: t.double() if t.is_floating_point() else t)
                    exact = self._observe(doubled, y)
                    return self._differences(doubled, y, exact, seen, rounding, together, IN_DOUBLE), IN_DOUBLE.limit
            except (RuntimeError, TypeError) as error:
                if not together:
                    print(f"the gradient's proof runs in the network's own precision, along g_l alone: in float64, "
                          f"{str(error).splitlines()[0]}", file=sys.stderr)
            return self._differences(x, y, seen, seen, rounding, together, IN_SINGLE), IN_SINGLE.limit

    def slope_together(self, x: Any, y: Tensor, seen: _Seen) -> _Slope:
        """Of all layers together, in the network's own precision."""
        with torch.autocast(self.device.type, enabled=False), _as_it_is(self.net, False):
            return self._differences(x, y, seen, seen, seen.rounding(), True, IN_SINGLE)[0]

    def _differences(self, x: Any, y: Tensor, exact: _Seen, seen: _Seen, rounding: float, together: bool,
                     precision: _Precision) -> list[_Slope]:
        """Central differences. They prove the backward pass that gave `exact`, which `seen` must be but for rounding."""
        random = torch.Generator().manual_seed(0)
        loss = abs(float(self.loss(exact.logits, y))) + float(_host(exact.logits).square().mean().sqrt())
        floor = 10 * precision.eps / precision.limit * loss  # of a change that can be seen
        gradient = [_host(g) for g in exact.gradient]
        norms = [float(g.norm()) for g in gradient]
        lengths = [float(_host(h).norm()) or 1.0 for h in exact.hidden]
        sizes = []
        for length, norm in zip(lengths, norms):
            size = precision.usual * min(length, loss / norm if norm else length)
            sizes.append(min(max(size, floor / norm), precision.largest * length) if norm else size)
        along = [g * (size / norm) if norm else g for g, size, norm in zip(gradient, sizes, norms)]

        def slope(moves: dict[int, Tensor], says: float, scale: float) -> _Slope:
            """`says` is the predicted change, `scale` what its error is relative to."""
            best = _Slope(math.nan, math.inf)
            for part in SMALLER if precision is IN_DOUBLE else (1.0,):
                tiny = any(sizes[l] * part < 1e-2 * precision.usual * lengths[l] for l in moves)
                if part < 1 and (scale * part < floor if scale > floor else tiny):
                    break  # what is left cannot be seen, and anything would agree
                up, down = (self._loss_at(x, y, {l: sign * part * m for l, m in moves.items()}) for sign in (1, -1))
                found, expected = (up - down) / 2, says * part
                error = _nan_last(abs(found - expected) / max(scale * part, floor))
                seen = found / expected if expected > floor else 1.0 if error <= precision.limit else math.inf
                best = min(best, _Slope(seen, error), key=lambda slope: slope.error)
                if error <= precision.limit:
                    break
            return best

        lost = []
        for g, recorded, length, norm in zip(gradient, seen.gradient, lengths, norms):
            far = float((_host(recorded) - g).norm())
            allowed = ROUNDING * norm + UNITS * rounding * loss / length
            lost.append(0.0 if far <= allowed else far / norm if norm else math.inf)
        if together:
            says = sum(size * norm for size, norm in zip(sizes, norms))
            return [slope(dict(enumerate(along)), says, says)._replace(lost=max(lost, key=_nan_last))]
        slopes = []
        for l, (g, size, norm) in enumerate(zip(gradient, sizes, norms)):
            ratio, error, _ = slope({l: along[l]}, size * norm, size * norm)
            if precision is IN_DOUBLE or not norm:
                direction = torch.randn(g.shape, generator=random, dtype=torch.float64)
                direction *= size / direction.norm()
                off = slope({l: direction}, float((g * direction).sum()), size * norm / math.sqrt(g.numel())).error
                error = max(error, off, key=_nan_last)
                ratio = math.inf if not norm and error > precision.limit else ratio
            slopes.append(_Slope(ratio, error, lost[l]))
        return slopes

    def _loss_at(self, x: Any, y: Tensor, moves: dict[int, Tensor]) -> float:
        """The loss where h_l has the moves added. Autograd is left on: hooks of the network may ask for it."""
        with _Taps(self, moves):
            return float(self.loss(self.forward(self.net, x, y), y).detach())


class _Taps:
    """Hooks at every state of a network for one forward pass. Without `moves` they keep what each module returned
    and hand a copy on, which what follows may change in place; with them they hand on the sum."""

    def __init__(self, network: _Network, moves: dict[int, Tensor] | None = None) -> None:
        self.network, self.moves = network, moves
        self.calls: list[int] = []
        self.kept: list[Tensor] = []  # part of the graph
        self.values: list[Tensor] = []
        self.handed: list[Tensor] = []
        self.brought: dict[int, Tensor] = {}  # by the backward pass
        self.watching = True

    def __enter__(self) -> _Taps:
        layers = enumerate(self.network.layers)
        self.handles = [layer.register_forward_hook(functools.partial(self._hook, l)) for l, layer in layers]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _hook(self, l: int, module: nn.Module, inputs: Any, output: Any) -> Any:
        where = f"h_{l} {self.network.names[l]}"
        state = _state(output, where)
        if self.moves is not None:
            return _with_state(output, state + self.moves[l].to(state) if l in self.moves else state)
        if self.watching:  # else activation checkpointing computes it once more
            self.calls.append(l)
            state = state if state.requires_grad else state.detach().requires_grad_()
            # autograd.grad's own value is, for all but the lowest state, from before the network's hooks.
            state.register_hook(functools.partial(self._bring, l))  # type: ignore[no-untyped-call]
            self.kept.append(state)
            self.values.append(state.detach().clone())
            self.handed.append(state.clone())
            return _with_state(output, self.handed[-1])
        return _with_state(output, state.clone())

    def _bring(self, l: int, gradient: Tensor) -> None:
        self.brought[l] = gradient.detach().clone()

    def check(self) -> None:
        """Each module once, in order, and nothing kept was changed."""
        self.watching = False
        names, layers = self.network.names, range(len(self.network.layers))
        for l in layers:
            if not (times := self.calls.count(l)):
                raise ValueError(f"h_{l} {names[l]} was never called in the forward pass: it is skipped, used through "
                                 f"another method than forward, or inside of what torch.compile or torch.jit made (give "
                                 f"the network before that)")
            if times > 1:
                raise ValueError(f"h_{l} {names[l]} was called {times} times in one forward pass: which of its outputs is "
                                 f"the state? Put an nn.Identity of its own behind each, and give those")
        if self.calls != list(layers):
            raise ValueError(f"the layers are called in another order than given: {self.calls}")
        for l in layers:
            if not torch.equal(self.kept[l].detach().nan_to_num(), self.values[l].nan_to_num()):
                raise ValueError(f"h_{l} {names[l]} was overwritten after it was returned (a buffer that is used again): "
                                 f"return a copy of it")
            if self.handed[l]._version:
                warnings.warn(f"what h_{l} {names[l]} returns is changed in place by what follows: recorded is what it "
                              f"returned", stacklevel=5)


def _state(output: Any, where: str) -> Tensor:
    """The tensor, or the first of a tuple where no other could be meant."""
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor):
        output, others = output[0], output[1:]
        if any(isinstance(t, Tensor) and t.is_floating_point() and t.shape == output.shape for t in others):
            raise ValueError(f"{where} returns several tensors of one shape: which of them is the state? Put an "
                             f"nn.Identity behind it, and give that")
    if not isinstance(output, Tensor) or not output.is_floating_point():
        found = output.dtype if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"{where} returns {found}: expected a real tensor, or a tuple that begins with one")
    return output


def _with_state(output: Any, state: Tensor) -> Any:
    if isinstance(output, Tensor):
        return state
    if hasattr(output, "_fields"):
        return type(output)(state, *output[1:])
    return type(output)((state, *output[1:]))


def _given(credit: Credit, seen: _Seen) -> list[Tensor]:
    with torch.no_grad():
        given = list(credit(seen.hidden, seen.logits))
    _fits(given, seen.hidden)
    return given


def _fits(credit: Sequence[Any], hidden: Sequence[Tensor]) -> None:
    """a_l must be as h_l; of [N, tokens, d] one for all tokens will do, of a feature map its features."""
    if len(credit) != len(hidden):
        raise ValueError(f"credit returns {len(credit)} tensors: expected {len(hidden)}, a_0 ... a_{len(hidden) - 1}")
    for l, (a, h) in enumerate(zip(credit, hidden)):
        expected = [h.shape, *([h[:, 0].shape] if h.dim() == 3 else [h.flatten(1).shape] if h.dim() > 3 else [])]
        if not isinstance(a, Tensor) or a.shape not in expected:
            found = list(a.shape) if isinstance(a, Tensor) else type(a).__name__
            raise ValueError(f"a_{l} is {found}: expected {' or '.join(str(list(shape)) for shape in expected)}")


def _same_network(seen: _Seen, plain: _Seen) -> None:
    names = [*(f"h_{l}" for l in range(len(seen.hidden))), "the logits"]
    for name, a, b in zip(names, [*seen.hidden, seen.logits], [*plain.hidden, plain.logits]):
        if a.shape != b.shape or not _distance(a, b) <= 1e-4:
            raise ValueError(f"reference is another network: {name} is not the same (same weights, same layers?)")


def _plain(net: nn.Module) -> nn.Module:
    """The network inside of torch.compile's and the data-parallel wrappers: the same modules and weights."""
    while True:
        inner = getattr(net, "_orig_mod", None)
        if inner is None and isinstance(net, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = net.module
        if inner is None:
            return net
        net = inner


@contextlib.contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Random numbers as they were afterwards; nothing compiled in between, since compiled code skips hooks."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        if "torch._dynamo" in sys.modules and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextlib.contextmanager
def _as_it_is(net: nn.Module, keep_mode: bool) -> Iterator[None]:
    """Eval mode; modes and buffers as they were afterwards."""
    modes = [(module, module.training) for module in net.modules()]
    buffers = [(module._buffers, name, b, b.detach().clone())
               for module in net.modules() for name, b in module._buffers.items() if b is not None]
    try:
        for module, _ in modes:
            if not keep_mode or isinstance(module, MODAL):
                module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for owner, name, buffer, before in buffers:
            owner[name] = buffer
            if not torch.equal(buffer, before):
                with torch.no_grad():
                    buffer.copy_(before)


@contextlib.contextmanager
def _in_double(*modules: Any) -> Iterator[None]:
    """The modules' tensors in float64, the same objects; as they were afterwards."""
    modules = tuple(module for module in modules if isinstance(module, nn.Module))
    every = itertools.chain.from_iterable((*m.parameters(), *m.buffers()) for m in modules)
    tensors = [t for t in every if t.is_floating_point()]
    before = [t.data for t in tensors]
    try:
        for t in tensors:
            t.data = t.data.double()
        yield
    finally:
        for t, data in zip(tensors, before):
            t.data = data


def _map(x: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """x with its tensors changed, inside of tuples, lists and mappings too."""
    if isinstance(x, Tensor):
        return change(x)
    if isinstance(x, MutableMapping):
        changed = copy.copy(x)
        changed.update({key: _map(value, change) for key, value in x.items()})
        return changed
    if isinstance(x, (tuple, list)):
        values = [_map(value, change) for value in x]
        return type(x)(*values) if hasattr(x, "_fields") else type(x)(values)
    return x


def _usable(x: Any) -> Any:
    """Autograd cannot use what inference mode made."""
    return _map(x, lambda t: t.clone() if t.is_inference() else t)


def _distance(a: Tensor, b: Tensor) -> float:
    """|a - b| over |b|, of finite values."""
    a, b = _host(a).nan_to_num(), _host(b).nan_to_num()
    return float((a - b).norm() / b.norm().clamp(min=1e-300))


def _host(tensor: Tensor) -> Tensor:
    """On the host and in float64, which not every device has."""
    return tensor.detach().cpu().double()


def _stored(tensor: Tensor) -> Tensor:
    """A copy on the host; feature maps [N, channels, height, width] as [N, features]."""
    tensor = tensor.detach().to("cpu", copy=True)
    return (tensor.flatten(1) if tensor.dim() > 3 else tensor).contiguous()


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _finite(value: float) -> float | str:
    """JSON has no number for the others."""
    return value if math.isfinite(value) else str(value)


def _all_finite(values: Sequence[float]) -> list[float | str]:
    return [_finite(value) for value in values]


def _metadatum(key: str, value: Any, layers: int) -> str:
    """As it stands in the file; a ValueError names the key and what was expected."""
    def refused(expected: str) -> ValueError:
        return ValueError(f"{key} = {value!r}: expected {expected}")

    if key in ("method", "arch", "dataset", "terminal_norm"):
        return str(value)
    if key in ("seed", "epoch", "epochs"):
        try:
            whole = operator.index(value)
        except TypeError:
            whole = -1
        if whole < 0:
            raise refused("a whole number from 0")
        return str(whole)
    if key in ("accuracy", "frozen_accuracy"):
        try:
            fraction = float(value)
        except (TypeError, ValueError):
            fraction = math.nan
        if not 0 <= fraction <= 1:
            raise refused("a fraction from 0 to 1")
        return repr(fraction)
    if key == "tokens":
        if value not in ("cls", "mean"):
            raise refused("cls or mean")
        return str(value)
    if key == "credit_trains":
        try:
            trains = sorted({operator.index(l) for l in value})
        except TypeError:
            trains = [-1]
        if not all(0 <= l < layers for l in trains):
            raise refused(f"a list of layers from 0 to {layers - 1}")
        return json.dumps(trains)
    near = difflib.get_close_matches(key, KEYS, 1)
    raise ValueError(f"{key} is no metadata of a trace" + (f": is {near[0]} meant?" if near else f" ({', '.join(KEYS)})"))


KEYS = ("method", "arch", "dataset", "seed", "epoch", "epochs", "accuracy", "frozen_accuracy", "terminal_norm", "tokens",
        "credit_trains")


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Beside it, then renamed."""
    part = path.with_name(path.name + ".part")
    if path.suffix.lower() == ".npz":
        import numpy
        arrays = {name: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for name, t in tensors.items()}
        with open(part, "wb") as file:
            numpy.savez(file, **metadata, **arrays)  # type: ignore[arg-type]
    else:
        from safetensors.torch import save_file
        save_file(dict(tensors), part, dict(metadata))
    os.replace(part, path)
