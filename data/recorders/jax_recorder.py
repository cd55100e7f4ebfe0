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

In training, call `forward(params, x, lambda h: h)`. The reference gradient g_l is backpropagation's: what a
zero added to h_l receives.
"""

import jax
import jax.numpy as jnp
import numpy


def mean_cross_entropy(logits, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


class Recorder:
    def __init__(self, forward, loss=mean_cross_entropy, loss_reduction="mean"):
        """`loss(logits, y)` reduces over the batch as `loss_reduction` says (mean or sum)."""
        self.forward, self.loss, self.loss_reduction = forward, loss, loss_reduction
        self.arrays, self.batches = {}, 0

    def record(self, params, x, y, credit=None):
        """One batch: inputs x [N, ...], classes y [N]. `credit(hidden, logits)` returns a_0 ... a_L; without
        it no credit is recorded."""
        hidden = []
        logits = self.forward(params, x, lambda h: hidden.append(h) or h)

        def loss(added):
            added = iter(added)
            return self.loss(self.forward(params, x, lambda h: h + next(added)), y)

        found = {"h": hidden, "g": jax.grad(loss)([jnp.zeros_like(h) for h in hidden])}
        if credit is not None:
            found["a"] = credit(hidden, logits)
        k = self.batches
        for field, states in found.items():
            for l, state in enumerate(states):
                self.arrays[f"batch.{k}.{field}.{l}"] = _flat(state)
        self.arrays[f"batch.{k}.logits"] = _flat(logits)
        self.arrays[f"batch.{k}.labels"] = numpy.asarray(y)
        self.batches += 1

    def save(self, path, **metadata):
        """Writes .npz. Metadata: method, arch, dataset, seed, epoch, epochs, accuracy, frozen_accuracy,
        terminal_norm, tokens (cls or mean, where states are [N, tokens, d])."""
        metadata = {"fa_trace": "1", "loss_reduction": self.loss_reduction, **metadata}
        metadata = {key: str(value) for key, value in metadata.items() if value is not None}
        numpy.savez(path, **metadata, **self.arrays)


def _flat(array):
    """On the host, feature maps [N, height, width, channels] as [N, features]; bfloat16, which NumPy cannot
    save, as float32."""
    array = array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array
    array = numpy.asarray(array)
    return array.reshape(len(array), -1) if array.ndim > 3 else array
