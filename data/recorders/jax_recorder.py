"""Records a trace of a JAX network for `fa-audit diagnose`. One file, to be copied; needs jax and numpy.

JAX has no hooks. The network says where its hidden states are by passing each through `tap`, in order:

    def forward(params, x, tap):                       # any functions, flax and equinox alike
        h = tap(embed(params, x))                      # h_0
        for block in params["blocks"]:
            h = tap(h + branch(block, h))              # h_1 ... h_L
        return readout(params, h)                      # logits

    recorder = Recorder(forward)
    for x, y in evaluation_batches:                    # ten of 128, never shuffled
        recorder.record(params, x, y, credit=lambda h, logits: [...])      # a_0 ... a_L, each [N, d]
    recorder.save("trace.npz", method="dfa", arch="mlp", seed=42, accuracy=0.31, frozen_accuracy=0.35)

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

# The largest relative error of a proved gradient, of one in half precision, and of a proof that cannot run in
# double precision. The moves are these shares of |h_l|.
LIMIT, HALF_LIMIT, SINGLE_LIMIT = 1e-3, 0.1, 0.05
SHARE, SINGLE_SHARE = 1e-6, 1e-3
KEYS = ("method", "arch", "dataset", "seed", "epoch", "epochs", "accuracy", "frozen_accuracy", "terminal_norm", "tokens",
        "credit_trains")


def mean_cross_entropy(logits: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


class Recorder:
    def __init__(self, forward: Forward, loss: Loss = mean_cross_entropy, loss_reduction: str | None = None) -> None:
        """`loss(logits [N, classes], y [N])` is a scalar, the mean or the sum over the batch: which of them is
        measured, and held against `loss_reduction` where that is given."""
        if loss_reduction not in (None, "mean", "sum"):
            raise ValueError(f"loss_reduction is {loss_reduction!r}: expected mean or sum")
        if hasattr(forward, "lower") and hasattr(forward, "__wrapped__"):
            raise ValueError("forward was made by jax.jit, which takes no tap: give the function inside, "
                             "forward.__wrapped__")
        self.forward, self.loss, self.loss_reduction = forward, loss, loss_reduction
        self.arrays: dict[str, numpy.ndarray] = {}
        self.batches = self.layers = 0
        self.proof: list[dict[str, Any]] = []  # of each layer on the first batch
        self.proved = True
        self.right = self.samples = 0

    def record(self, params: Any, x: Any, y: Any, credit: Credit | None = None) -> None:
        """One batch: inputs x [N, ...], classes y [N]. `credit(hidden, logits)` returns a_0 ... a_L, each as h_l or
        [N, d]; without it no credit is recorded."""
        y = jnp.asarray(y)
        hidden, logits = self._observe(params, x, y)
        gradient = jax.grad(lambda added: self._loss_at(params, x, y, added))([jnp.zeros_like(h) for h in hidden])
        self._judge_loss(logits, y)
        self._prove(params, x, y, hidden, gradient)
        k = self.batches
        fields: dict[str, Sequence[Any]] = {"h": hidden, "g": gradient}
        if credit is not None:
            fields["a"] = list(credit(hidden, logits))
            _fits(fields["a"], hidden)
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
        for key, value in metadata.items():
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

    def _loss_at(self, params: Any, x: Any, y: jax.Array, added: Sequence[Any]) -> jax.Array:
        """The loss where h_l has these added."""
        calls = iter(range(sys.maxsize))

        def tap(h: Any) -> Any:
            if (l := next(calls)) >= len(added):
                raise ValueError(f"forward taps more than {len(added)} states when it is called again")
            return h + added[l].astype(h.dtype)

        value = self.loss(self.forward(params, x, tap), y)
        if (times := next(calls)) < len(added):
            raise ValueError(f"forward taps {times} states when it is called again: {len(added)} before")
        if value.shape:
            raise ValueError(f"the loss is of shape {list(value.shape)}: expected a scalar, the mean or the sum over the "
                             f"batch")
        return value

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

    def _prove(self, params: Any, x: Any, y: jax.Array, hidden: list[jax.Array], gradient: list[jax.Array]) -> None:
        """Each layer on the first batch, all of them together on the others."""
        together = self.batches > 0
        try:
            with _double_precision():
                params_double, x_double = jax.tree_util.tree_map(_double, (params, x))

                def loss(added: Sequence[Any]) -> jax.Array:
                    return self._loss_at(params_double, x_double, y, added)

                double = loss([numpy.zeros(h.shape) for h in hidden]).dtype == jnp.float64
                slopes = _differences(loss, hidden, gradient, together, SHARE if double else SINGLE_SHARE)
        except TypeError as error:
            if not together:
                print(f"the gradient's proof runs in the network's own precision, along g_l alone: in float64, "
                      f"{str(error).splitlines()[0]}", file=sys.stderr)
            double = False
            slopes = _differences(lambda added: self._loss_at(params, x, y, added), hidden, gradient, together,
                                  SINGLE_SHARE)
        dtypes = {str(a.dtype) for a in (*hidden, *gradient)}
        limit = HALF_LIMIT if dtypes & {"float16", "bfloat16"} else LIMIT if double else SINGLE_LIMIT
        errors = [slope.error for slope in slopes]
        proved = all(error <= limit for error in errors)  # false for a NaN
        self.proved &= proved
        if not together:
            self.proof = [{"layer": l, "relative_error": _finite(s.error), "ratio": _finite(s.ratio)}
                          for l, s in enumerate(slopes)]
            ratios = " ".join(f"{slope.ratio:.6f}" for slope in slopes)
            print(f"the loss changes along g_0 ... g_L, over what they say: {ratios}; largest relative error "
                  f"{max(errors, key=_nan_last):.1e}", file=sys.stderr)
        if not proved:
            where = ["all layers together"] if together else [f"h_{l}" for l, e in enumerate(errors) if not e <= limit]
            warnings.warn(
                f"batch {self.batches}: the gradient recorded at {', '.join(where)} is not that of the loss (relative "
                f"error over {limit:g}): a custom_vjp or a stop_gradient lies between; or digits are lost, which "
                f"float64 cures (jax_enable_x64)", stacklevel=3)

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


class _Slope(NamedTuple):
    """The loss's change along g_l over what g_l predicts, and the larger relative error of this and of the change
    along a random direction, whose scale is |g_l| / sqrt(values). Of a g_l that is zero the ratio is 1 where the loss
    does not change, else infinite."""
    ratio: float
    error: float


def _differences(loss: Callable[[Sequence[Any]], jax.Array], hidden: list[jax.Array], gradient: list[jax.Array],
                 together: bool, share: float) -> list[_Slope]:
    """Central differences over moves of `share` of |h_l|, at every layer or one for all together. The moves must be
    small beside the kinks of a ReLU: in single precision a random direction, along which little changes, cannot be
    resolved then."""
    random = numpy.random.default_rng(0)
    true = [numpy.asarray(g, dtype=numpy.float64) for g in gradient]
    sizes = [share * (_norm(h) or 1.0) for h in hidden]
    norms = [_norm(g) for g in true]
    still = [numpy.zeros(g.shape) for g in true]

    def change(moves: dict[int, numpy.ndarray]) -> float:
        ends = [float(loss([sign * moves.get(l, zero) for l, zero in enumerate(still)])) for sign in (1, -1)]
        return (ends[0] - ends[1]) / 2

    along = [g * (size / norm if norm else 0.0) for g, size, norm in zip(true, sizes, norms)]
    if together:
        says = sum(size * norm for size, norm in zip(sizes, norms))
        ratio = change(dict(enumerate(along))) / says if says else math.nan
        return [_Slope(ratio, abs(ratio - 1))]
    slopes = []
    scale = abs(float(loss(still)))
    for l, (g, size, norm) in enumerate(zip(true, sizes, norms)):
        ratio = change({l: along[l]}) / (size * norm) if norm else 1.0
        error = abs(ratio - 1)
        if not norm or share == SHARE:
            direction = random.standard_normal(g.shape)
            direction *= size / _norm(direction)
            off = abs(change({l: direction}) - float((g * direction).sum())) * math.sqrt(g.size)
            # Where nothing is predicted, the scale is the loss's.
            error = max(error, off / (size * norm or share * scale or 1.0), key=_nan_last)
        slopes.append(_Slope(ratio if norm or error <= SINGLE_LIMIT else math.inf, error))
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


def _norm(array: Any) -> float:
    return float(numpy.linalg.norm(numpy.asarray(array, dtype=numpy.float64)))


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _finite(value: float) -> float | str:
    """JSON has no number for the others."""
    return value if math.isfinite(value) else str(value)


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
