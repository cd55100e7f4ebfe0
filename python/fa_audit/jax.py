"""Records a trace of a JAX network for `fa-audit diagnose`. Needs jax and numpy. One file:
`fa-audit recorder jax > fa_recorder.py` prints it for those who copy.

JAX has no hooks. The network says where its hidden states are by passing each through `tap`, in order:

    def forward(params, x, tap):                       # any functions, flax and equinox alike
        h = tap(embed(params, x))                      # h_0
        for block in params["blocks"]:
            h = tap(h + branch(block, h))              # h_1 ... h_L
        return readout(params, h)                      # logits

    from fa_audit.jax import Recorder                  # of a copy: from fa_recorder import Recorder
    recorder = Recorder(forward)
    for x, y in evaluation_batches:                    # ten of 128, never shuffled
        recorder.record(params, x, y, credit=lambda h, logits: [...])      # a_0 ... a_L, each [N, d]
    recorder.save("trace.npz", method="dfa", arch="mlp", seed=42, accuracy=0.31, frozen_accuracy=0.35)

A training is followed by `measure` in the place of `record`: each batch is reduced to norms and cosines of its
samples, and no array is kept.

    for x, y in evaluation_batches[:2]:                # every epoch
        recorder.measure(params, x, y, credit=lambda h, logits: [...])
    recorder.conclude(epoch=3)                         # a line of recorder.history
    recorder.save_history("history.jsonl")

In training, call `forward(params, x, lambda h: h)`, in evaluation mode here. The reference gradient g_l is
backpropagation's, what a zero added to h_l receives, and proved: h_l is moved along +g_l and -g_l, and along a
random direction, and the loss must change as g_l says. A backward pass that a custom_vjp has replaced, or a
stop_gradient, does not. The proof stands in the trace; without it fa-audit says so. A recording that cannot be
right is a ValueError.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy

Tap = Callable[[Any], Any]
Forward = Callable[[Any, Any, Tap], jax.Array]
Loss = Callable[[jax.Array, jax.Array], jax.Array]
Credit = Callable[[list[jax.Array], jax.Array], Sequence[Any]]

# How far rounding may take a recorded gradient: this share of its norm, and so many units in the last place of the
# gradient that would change the loss by itself were h_l moved by its own length.
ROUNDING, UNITS = 0.1, 4
KEYS = ("method", "arch", "dataset", "seed", "epoch", "epochs", "accuracy", "frozen_accuracy", "terminal_norm", "tokens",
        "credit_trains")


def mean_cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


class Recorder:
    def __init__(self, forward: Forward, loss: Loss = mean_cross_entropy, loss_reduction: str | None = None,
                 tokens: str | None = None, credit_trains: Sequence[int] | None = None) -> None:
        """`loss(logits [N, classes], y [N])` is a scalar, the mean or the sum over the batch: which of them is
        measured, and held against `loss_reduction` where that is given. Of states [N, tokens, d] `tokens` says which
        is measured, cls (the first, as where nothing is said) or mean; `credit_trains` are the layers l whose a_l
        trains a block, where they are not 0 ... L-1."""
        if loss_reduction not in (None, "mean", "sum"):
            raise ValueError(f"loss_reduction is {loss_reduction!r}: expected mean or sum")
        if hasattr(forward, "lower") and hasattr(forward, "__wrapped__"):
            raise ValueError("forward was made by jax.jit, which takes no tap: give the function inside, "
                             "forward.__wrapped__")
        self.forward, self.loss, self.loss_reduction = forward, loss, loss_reduction
        said: dict[str, Any] = {"tokens": tokens, "credit_trains": credit_trains}
        self.said = {key: value for key, value in said.items() if value is not None}
        self.arrays: dict[str, numpy.ndarray] = {}
        self.batches = self.layers = 0
        self.proof: list[dict[str, Any]] = []  # of each layer on the first batch
        self.proved = True
        self.right = self.samples = 0
        self.history: list[dict[str, Any]] = []  # a line an evaluation, as `conclude` describes it
        self._measured: list[_Measured] = []
        self._quick: Callable[..., Any] = jax.jit(jax.value_and_grad(self._passed, argnums=3, has_aux=True))
        self._quick_loss: Callable[..., Any] = jax.jit(lambda *given: self._passed(*given)[0])

    def record(self, params: Any, x: Any, y: Any, credit: Credit | None = None) -> None:
        """One batch: inputs x [N, ...], classes y [N]. `credit(hidden, logits)` returns a_0 ... a_L, each as h_l or
        [N, d]; without it no credit is recorded."""
        y = jnp.asarray(y)
        hidden, logits = self._observe(params, x, y)
        gradient = self._gradient(params, x, y, hidden)
        self._judge_loss(logits, y)
        self._prove(params, x, y, hidden, gradient, logits)
        k = self.batches
        fields: dict[str, Sequence[Any]] = {"h": hidden, "g": gradient}
        if credit is not None:
            fields["a"] = _given(credit, hidden, logits)
        found = {f"batch.{k}.{field}.{l}": _stored(state)
                 for field, states in fields.items() for l, state in enumerate(states)}
        found[f"batch.{k}.logits"], found[f"batch.{k}.labels"] = _stored(logits), numpy.array(y)
        layout = {name.split(".", 2)[2] for name in found}
        if k and layout != (first := {name.split(".", 2)[2] for name in self.arrays if name.startswith("batch.0.")}):
            raise ValueError(f"batch {k} and batch 0 do not hold the same: {', '.join(sorted(layout ^ first))}")
        self.arrays |= found
        self.batches, self.layers = k + 1, len(hidden)
        self.samples += len(y)
        self.right += int((logits.argmax(1) == y).sum())

    def measure(self, params: Any, x: Any, y: Any, credit: Credit | None = None) -> None:
        """One batch of an evaluation, given as to `record`, reduced to norms and cosines of its samples. That the gradient
        is the loss's is checked on the first batch of each evaluation, by one pair of forward passes in which every
        h_l is moved along g_l; where they say no, and in the first evaluation, by finite differences in float64.
        Runs under jax.jit, where the network allows."""
        y, started, first = jnp.asarray(y), time.perf_counter(), not self._measured
        thorough = first and not self.history
        if thorough or not self.layers:
            hidden, logits = self._observe(params, x, y)
            self._judge_loss(logits, y)
            self.layers, self._shapes = len(hidden), [(h.shape[1:], h.dtype) for h in hidden]
            for key, value in self.said.items():
                _metadatum(key, value, self.layers)
        still = [jnp.zeros((len(y), *shape), dtype=kind) for shape, kind in self._shapes]
        try:
            (value, (hidden, logits)), gradient = self._quick(params, x, y, still)
        except TypeError:  # what is no array among the parameters
            self._quick, self._quick_loss = jax.value_and_grad(self._passed, argnums=3, has_aux=True), self._loss_at
            (value, (hidden, logits)), gradient = self._quick(params, x, y, still)
        check = self._check(params, x, y, hidden, gradient, logits, thorough) if first else None
        tokens = self.said.get("tokens", "cls")
        h, g = _rows(hidden, tokens), _rows(gradient, tokens)
        sizes = [_sizes(h), _sizes(g)]
        if credit is not None:
            a = _rows(_given(credit, hidden, logits), tokens)
            sizes += [_sizes(a), _cosines(a, g)]
        if self._measured and len(self._measured[0].sizes) != len(sizes):
            raise ValueError("one batch of this evaluation has a credit and another has none")
        scale = 1 / len(y) if self.loss_reduction == "sum" else 1.0
        right = int((logits.argmax(1) == y).sum())
        self._measured.append(_Measured(sizes, len(y), right, float(value) * scale, scale, check,
                                        time.perf_counter() - started))

    def conclude(self, epoch: int, test_accuracy: float | None = None, step: int | None = None) -> dict[str, Any]:
        """Ends an evaluation, and returns its line of `history`: `epoch` and `step` of the training; `samples` that were
        measured, `recorded_loss` (their mean) and `recorded_accuracy`; `test_accuracy`, where it is given, the whole
        test set's; `hidden_norms` [L + 1], mean |h_l|; `gradient_norms` [L + 1], median |g_l| of the batch-mean loss;
        `growth`, the largest factor of mean |h_l| over one block; where a credit was given `cosine` [L + 1], the mean
        of cos(a_l, g_l), `global_cosine`, that of the layers that train joined, and `relative_scale` [L + 1], median
        |a_l| over median |g_l| relative to the median layer; `check`, the loss's change along g_0 ... g_L over what
        they say, its relative error, and whether the reference is proved; `seconds` that measuring took. What is not
        finite is a string."""
        if not self._measured:
            raise ValueError("nothing to conclude: measure() was not called")
        metadata = {"epoch": epoch, **({} if test_accuracy is None else {"accuracy": test_accuracy})}
        for key, value in metadata.items():
            _metadatum(key, value, self.layers)
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
        """Writes .npz. Metadata: method, arch, dataset, seed, epoch, epochs, accuracy, frozen_accuracy,
        terminal_norm, tokens (cls or mean, where states are [N, tokens, d]), and credit_trains, the layers l whose
        a_l trains a block. What is wrong there is a ValueError, after the rest was written."""
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
                    good[key] = _metadatum(key, value, self.layers)
                except ValueError as error:
                    wrong.append(str(error))
        path = Path(path)
        if path.suffix.lower() != ".npz":
            wrong.append(f"`{path.name}` does not end in .npz")
            path = path.with_name(path.name + ".npz")
        part = path.with_name(path.name + ".part")
        with open(part, "wb") as file:
            numpy.savez(file, **good, **self.arrays)  # type: ignore[arg-type]
        os.replace(part, path)
        self._doubt(good)
        if wrong:
            raise ValueError(f"{path} holds the recording without this: {'; '.join(wrong)}")

    def _observe(self, params: Any, x: Any, y: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        """h_0 ... h_L and the logits [N, classes]."""
        hidden: list[jax.Array] = []

        def tap(h: Any) -> Any:
            if isinstance(h, jax.core.Tracer):
                raise ValueError(f"h_{len(hidden)} is tapped inside of jax.jit, lax.scan or another transformation, which "
                                 f"runs Python once for all its steps: record under `with jax.disable_jit():`, or write "
                                 f"the loop over the blocks in Python (and tap outside of vmap and checkpoint)")
            if not hasattr(h, "dtype") or not jnp.issubdtype(h.dtype, jnp.floating):
                raise ValueError(f"h_{len(hidden)} is {getattr(h, 'dtype', type(h).__name__)}: expected a real array")
            hidden.append(h)
            return h

        logits = self.forward(params, x, tap)
        if not hidden:
            raise ValueError("forward passed nothing through tap: expected h_0 ... h_L, in order")
        if not hasattr(logits, "dtype"):
            raise ValueError(f"forward returns {type(logits).__name__}: expected logits")
        if logits.ndim != 2:
            raise ValueError(f"the logits are {list(logits.shape)}: expected [N, classes]")
        if y.shape != logits.shape[:1] or not jnp.issubdtype(y.dtype, jnp.integer):
            raise ValueError(f"y is {list(y.shape)} of {y.dtype}: expected the classes [{len(logits)}] as integers; a loss "
                             f"that wants them otherwise can make that of them")
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < logits.shape[1]:
            raise ValueError(f"y holds {int(y.min())} ... {int(y.max())}: expected classes 0 ... {logits.shape[1] - 1}")
        for l, h in enumerate(hidden):
            if h.ndim < 2 or len(h) != len(logits):
                raise ValueError(f"h_{l} is {list(h.shape)}: expected the {len(logits)} samples first, [N, d] or "
                                 f"[N, tokens, d]")
        return hidden, logits

    def _gradient(self, params: Any, x: Any, y: jax.Array, like: Sequence[jax.Array]) -> list[jax.Array]:
        """dL/dh_l: what a zero added to h_l receives."""
        zeros = [jnp.zeros_like(h) for h in like]
        found: list[jax.Array] = jax.grad(lambda added: self._loss_at(params, x, y, added))(zeros)
        return found

    def _loss_at(self, params: Any, x: Any, y: jax.Array, added: Sequence[Any]) -> jax.Array:
        return self._passed(params, x, y, added)[0]

    def _passed(self, params: Any, x: Any, y: jax.Array, added: Sequence[Any],
                ) -> tuple[jax.Array, tuple[list[jax.Array], jax.Array]]:
        """The loss where h_l has these added, the states [N, ...] with them and the logits."""
        hidden: list[jax.Array] = []

        def tap(h: Any) -> Any:
            if (l := len(hidden)) >= len(added):
                raise ValueError(f"forward taps more than {len(added)} states when it is called again")
            hidden.append(h + added[l].astype(h.dtype))
            return hidden[-1]

        logits = self.forward(params, x, tap)
        value = self.loss(logits, y)
        if (times := len(hidden)) < len(added):
            raise ValueError(f"forward taps {times} states when it is called again: {len(added)} before")
        if value.shape:
            raise ValueError(f"the loss is of shape {list(value.shape)}: expected a scalar, the mean or the sum over the "
                             f"batch")
        return value, (hidden, logits)

    def _judge_loss(self, logits: jax.Array, y: jax.Array) -> None:
        """Whether the loss is a mean or a sum: for the same batch twice, the gradient of one copy is half or as
        it was. What the recorder was told must agree."""
        once = _norm(jax.grad(self.loss)(logits, y))
        twice = _norm(jax.grad(self.loss)(jnp.concatenate([logits] * 2), jnp.concatenate([y] * 2))[: len(y)])
        share = twice / once if once else math.nan
        if not math.isfinite(share):  # no gradient to compare
            return
        measured = "mean" if abs(share - 0.5) < 0.01 else "sum" if abs(share - 1) < 0.01 else None
        if measured is None:
            raise ValueError(f"the loss is neither a mean nor a sum over the batch: for the same batch twice, the "
                             f"gradient of one copy is {share:.3g} of what it was")
        if self.loss_reduction not in (None, measured):
            raise ValueError(f"loss_reduction is {self.loss_reduction}, but for the same batch twice the loss is a "
                             f"{measured}")
        self.loss_reduction = measured

    def _prove(self, params: Any, x: Any, y: jax.Array, hidden: list[jax.Array], gradient: list[jax.Array],
               logits: jax.Array) -> None:
        """Each layer on the first batch, all of them together on the others."""
        together = self.batches > 0
        slopes, precision = self._slopes(params, x, y, hidden, gradient, logits, together)
        limit = precision.limit
        proved = all(slope.error <= limit and not slope.lost for slope in slopes)
        self.proved &= proved
        if not together:
            self.proof = [{"layer": l, "relative_error": _finite(max(s.error, s.lost)), "ratio": _finite(s.ratio)}
                          for l, s in enumerate(slopes)]
            ratios = " ".join(f"{slope.ratio:.6f}" for slope in slopes)
            print(f"the loss changes along g_0 ... g_L, over what they say: {ratios}; largest relative error "
                  f"{max(slope.error for slope in slopes):.1e}", file=sys.stderr)
        names = ["all layers together"] if together else [f"h_{l}" for l in range(len(slopes))]
        if false := [name for name, slope in zip(names, slopes) if not slope.error <= limit]:
            warnings.warn(
                f"batch {self.batches}: the gradient recorded at {', '.join(false)} is not that of the loss (relative "
                f"error over {limit:g}): a custom_vjp or a stop_gradient lies between; half precision resolves nothing "
                f"where it is all there is", stacklevel=3)
        elif not proved:
            lost = [name for name, slope in zip(names, slopes) if slope.lost]
            warnings.warn(
                f"batch {self.batches}: the gradient recorded at {', '.join(lost)} is not float64's (relative distance "
                f"{max(slope.lost for slope in slopes):.2g}): digits are lost; record in float64 (jax_enable_x64)",
                stacklevel=3)

    def _slopes(self, params: Any, x: Any, y: jax.Array, hidden: list[jax.Array], gradient: list[jax.Array],
                logits: jax.Array, together: bool) -> tuple[list[_Slope], _Precision]:
        """The slope at every layer, or one for all together, in float64 where the network has it."""
        rounding = _rounding(hidden, gradient)
        size = _norm(logits) / math.sqrt(logits.size)
        with _double_precision():
            params_double, x_double = jax.tree_util.tree_map(_double, (params, x))

            def loss(added: Sequence[Any]) -> jax.Array:
                return self._loss_at(params_double, x_double, y, added)

            still = [jnp.zeros(h.shape, dtype=jnp.float64) for h in hidden]
            try:
                precision = IN_DOUBLE if loss(still).dtype == jnp.float64 else IN_SINGLE
                exact = self._gradient(params_double, x_double, y, still)
                slopes = _differences(loss, hidden, exact, gradient, size, rounding, together, precision)
            except TypeError as error:
                precision = IN_SINGLE
                if not together:
                    print(f"the gradient's proof runs in the network's own precision, along g_l alone: in float64, "
                          f"{str(error).splitlines()[0]}", file=sys.stderr)
                slopes = []
        if not slopes:
            slopes = _differences(lambda added: self._loss_at(params, x, y, added), hidden, gradient, gradient, size,
                                  rounding, together, precision)
        return slopes, precision

    def _check(self, params: Any, x: Any, y: jax.Array, hidden: list[jax.Array], gradient: list[jax.Array],
               logits: jax.Array, thorough: bool) -> dict[str, Any]:
        """The slope along g_0 ... g_L together, in the network's own precision; in float64 where that sees another
        than the gradient's, or where `thorough`."""
        rounding, size = _rounding(hidden, gradient), _norm(logits) / math.sqrt(logits.size)
        (slope,), precision = _differences(lambda added: self._quick_loss(params, x, y, added), hidden, gradient, gradient,
                                           size, rounding, True, IN_SINGLE), IN_SINGLE
        if thorough or not slope.error <= precision.limit:
            (slope,), precision = self._slopes(params, x, y, hidden, gradient, logits, True)
        proved = slope.error <= precision.limit and not slope.lost
        if not proved:
            warnings.warn(f"the gradient measured at h_0 ... h_L is not that of the loss (relative error "
                          f"{max(slope.error, slope.lost):.2g}, over {precision.limit:g}): a custom_vjp or a stop_gradient "
                          f"lies between", stacklevel=3)
        return {"ratio": _finite(slope.ratio), "relative_error": _finite(max(slope.error, slope.lost)), "proved": proved}

    def _doubt(self, metadata: dict[str, str]) -> None:
        """Warns of what is possible and unlikely."""
        share = self.right / self.samples
        if "accuracy" in metadata:
            stated = float(metadata["accuracy"])
            deviation = math.sqrt(max(stated * (1 - stated), 1e-4) / self.samples)
            if abs(share - stated) > 5 * deviation:
                warnings.warn(f"accuracy = {stated:g}, but of the recorded samples {self.right} of {self.samples} are "
                              f"classified correctly ({share:.3g})", stacklevel=3)
        top = self.arrays[f"batch.0.g.{self.layers - 1}"]
        if top.ndim == 3 and metadata.get("tokens", "cls") == "cls" and not top[:, 0].any():
            warnings.warn('no gradient reaches the first token of h_L: the head reads another; save with tokens="mean"',
                          stacklevel=3)


class _Measured(NamedTuple):
    """A measured batch on the host: |h_l|, |g_l|, |a_l| and cos(a_l, g_l), each [L + 1, N], the last two where there is a
    credit; samples, how many of them are right, the batch-mean loss, the gradient of it over the recorded one."""
    sizes: list[numpy.ndarray]
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
    h, recorded = (numpy.concatenate([batch.sizes[i] for batch in measured], 1) for i in (0, 1))
    g = numpy.concatenate([batch.sizes[1] * batch.scale for batch in measured], 1)
    with numpy.errstate(all="ignore"):
        means = h.mean(1)
        grown = (means[1:] / numpy.where(numpy.isfinite(means[:-1]), means[:-1], numpy.nan)).tolist()
        line: dict[str, Any] = {
            "samples": samples, "recorded_loss": _finite(loss),
            "recorded_accuracy": sum(batch.right for batch in measured) / samples,
            "hidden_norms": _all_finite(means), "gradient_norms": _all_finite(numpy.median(g, axis=1)),
            "growth": _finite(math.nan if any(map(math.isnan, grown)) else max(grown)) if grown else None}
        if len(measured[0].sizes) > 2:
            a, cosine = (numpy.concatenate([batch.sizes[i] for batch in measured], 1) for i in (2, 3))
            rows = list(trains) or list(range(max(len(a) - 1, 1)))
            lengths = numpy.sqrt(numpy.square(a[rows]).sum(0)) * numpy.sqrt(numpy.square(recorded[rows]).sum(0))
            joined = (cosine * a * recorded)[rows].sum(0) / numpy.maximum(lengths, 1e-300)
            scales = numpy.median(a, axis=1) / numpy.median(recorded, axis=1)
            finite = scales[rows][numpy.isfinite(scales[rows])]
            middle = numpy.median(finite) if len(finite) else math.nan
            line |= {"cosine": _all_finite(cosine.mean(1)), "global_cosine": _finite(float(joined.mean())),
                     "relative_scale": _all_finite(scales / middle)}
    return line | {"check": measured[0].check, "seconds": sum(batch.seconds for batch in measured)}


def _rows(states: Sequence[Any], tokens: str) -> list[numpy.ndarray]:
    """Each state as [N, d], on the host and in float64."""
    found = []
    for state in states:
        rows = numpy.asarray(state, dtype=numpy.float64)
        if rows.ndim == 3:
            rows = rows[:, 0] if tokens == "cls" else rows.mean(1)
        found.append(rows.reshape(len(rows), -1))
    return found


def _sizes(states: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """|h_l| of each sample, [L + 1, N]."""
    return numpy.stack([numpy.linalg.norm(rows, axis=1) for rows in states])


def _cosines(credit: Sequence[numpy.ndarray], gradient: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """cos(a_l, g_l) of each sample, [L + 1, N]; with a norm under 1e-30 near zero, as in the audit."""
    lengths = numpy.maximum(_sizes(credit), 1e-30) * numpy.maximum(_sizes(gradient), 1e-30)
    with numpy.errstate(invalid="ignore", over="ignore"):
        found: numpy.ndarray = numpy.stack([(a * g).sum(1) for a, g in zip(credit, gradient)]) / lengths
    return found


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


def _differences(loss: Callable[[Sequence[Any]], jax.Array], hidden: list[jax.Array], exact: list[jax.Array],
                 recorded: list[jax.Array], size_of_logits: float, rounding: float, together: bool,
                 precision: _Precision) -> list[_Slope]:
    """Central differences, at every layer or one for all together. They prove the backward pass that gave `exact`,
    which `recorded` must be but for rounding."""
    random = numpy.random.default_rng(0)
    gradient = [numpy.asarray(g, dtype=numpy.float64) for g in exact]
    still = [numpy.zeros(g.shape) for g in gradient]
    scale = abs(float(loss(still))) + size_of_logits
    floor = 10 * precision.eps / precision.limit * scale  # of a change that can be seen
    norms = [_norm(g) for g in gradient]
    lengths = [_norm(h) or 1.0 for h in hidden]
    sizes = []
    for length, norm in zip(lengths, norms):
        size = precision.usual * min(length, scale / norm if norm else length)
        sizes.append(min(max(size, floor / norm), precision.largest * length) if norm else size)
    along = [g * (size / norm) if norm else g for g, size, norm in zip(gradient, sizes, norms)]

    def slope(moves: dict[int, numpy.ndarray], says: float, relative_to: float) -> _Slope:
        """`says` is the predicted change, `relative_to` what its error is relative to."""
        best = _Slope(math.nan, math.inf)
        for part in SMALLER if precision is IN_DOUBLE else (1.0,):
            tiny = any(sizes[l] * part < 1e-2 * precision.usual * lengths[l] for l in moves)
            if part < 1 and (relative_to * part < floor if relative_to > floor else tiny):
                break  # what is left cannot be seen, and anything would agree
            ends = [float(loss([sign * part * moves.get(l, zero) for l, zero in enumerate(still)])) for sign in (1, -1)]
            found, expected = (ends[0] - ends[1]) / 2, says * part
            error = _nan_last(abs(found - expected) / max(relative_to * part, floor))
            seen = found / expected if expected > floor else 1.0 if error <= precision.limit else math.inf
            best = min(best, _Slope(seen, error), key=lambda slope: slope.error)
            if error <= precision.limit:
                break
        return best

    lost = []
    for g, own, length, norm in zip(gradient, recorded, lengths, norms):
        far = _norm(numpy.asarray(own, dtype=numpy.float64) - g)
        allowed = ROUNDING * norm + UNITS * rounding * scale / length
        lost.append(0.0 if far <= allowed else far / norm if norm else math.inf)
    if together:
        says = sum(size * norm for size, norm in zip(sizes, norms))
        return [slope(dict(enumerate(along)), says, says)._replace(lost=max(lost, key=_nan_last))]
    slopes = []
    for l, (g, size, norm) in enumerate(zip(gradient, sizes, norms)):
        ratio, error, _ = slope({l: along[l]}, size * norm, size * norm)
        if precision is IN_DOUBLE or not norm:
            direction = random.standard_normal(g.shape)
            direction *= size / _norm(direction)
            off = slope({l: direction}, float((g * direction).sum()), size * norm / math.sqrt(g.size)).error
            error = max(error, off, key=_nan_last)
            ratio = math.inf if not norm and error > precision.limit else ratio
        slopes.append(_Slope(ratio, error, lost[l]))
    return slopes


def _double_precision() -> Any:
    """A context in which JAX has float64."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]
    return enable_x64()


def _double(leaf: Any) -> Any:
    real = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.asarray(leaf, dtype=jnp.float64) if real else leaf


def _given(credit: Credit, hidden: list[jax.Array], logits: jax.Array) -> list[Any]:
    given = list(credit(hidden, logits))
    _fits(given, hidden)
    return given


def _fits(credit: Sequence[Any], hidden: Sequence[jax.Array]) -> None:
    """a_l must be as h_l; of [N, tokens, d] one for all tokens will do, of a feature map its features."""
    if len(credit) != len(hidden):
        raise ValueError(f"credit returns {len(credit)} arrays: expected {len(hidden)}, a_0 ... a_{len(hidden) - 1}")
    for l, (a, h) in enumerate(zip(credit, hidden)):
        flat = (len(h), math.prod(h.shape[1:]))
        expected = [h.shape, *([h[:, 0].shape] if h.ndim == 3 else [flat] if h.ndim > 3 else [])]
        if getattr(a, "shape", None) not in expected:
            found = list(a.shape) if hasattr(a, "shape") else type(a).__name__
            raise ValueError(f"a_{l} is {found}: expected {' or '.join(str(list(shape)) for shape in expected)}")


def _stored(array: Any) -> numpy.ndarray:
    """A copy on the host, feature maps [N, height, width, channels] as [N, features]; bfloat16, which NumPy cannot
    save, as float32."""
    copy: numpy.ndarray = numpy.array(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)
    return copy.reshape(len(copy), -1) if copy.ndim > 3 else copy


def _rounding(hidden: Sequence[Any], gradient: Sequence[Any]) -> float:
    """The coarsest of what they were computed in."""
    kinds = {a.dtype for a in (*hidden, *gradient)}
    return max(float(jnp.finfo(kind).eps) for kind in kinds)  # type: ignore[no-untyped-call]


def _norm(array: Any) -> float:
    return float(numpy.linalg.norm(numpy.asarray(array, dtype=numpy.float64)))


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _finite(value: float) -> float | str:
    """JSON has no number for the others."""
    return value if math.isfinite(value) else str(value)


def _all_finite(values: Any) -> list[float | str]:
    return [_finite(float(value)) for value in values]


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
