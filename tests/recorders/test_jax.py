"""The JAX recorder: what it records is right, what cannot be right is refused."""

import json
import warnings

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp

from fa_audit.jax import Recorder, mean_cross_entropy

CLASSES, INPUTS, WIDTH = 5, 7, 6


@pytest.fixture(autouse=True)
def _no_warning():
    """A warning that a test does not expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def params():
    random = np.random.default_rng(0)
    matrix = lambda *shape: jnp.asarray(random.standard_normal(shape) / shape[0] ** 0.5, dtype=jnp.float32)
    return {"embed": matrix(INPUTS, WIDTH), "blocks": [matrix(WIDTH, WIDTH) for _ in range(2)],
            "head": matrix(WIDTH, CLASSES)}


def batch(seed=1, samples=16):
    random = np.random.default_rng(seed)
    return jnp.asarray(random.standard_normal((samples, INPUTS)), dtype=jnp.float32), random.integers(CLASSES, size=samples)


def forward(params, x, tap, between=lambda h: h):
    h = tap(x @ params["embed"])
    for block in params["blocks"]:
        h = tap(h + jnp.tanh(between(h) @ block))
    return h @ params["head"]


def proof(recorder):
    return [layer["ratio"] for layer in recorder.proof], [layer["relative_error"] for layer in recorder.proof]


def test_a_true_gradient_is_proved_at_every_layer_on_every_batch(params, tmp_path):
    recorder = Recorder(forward)
    for seed in range(3):
        recorder.record(params, *batch(seed), lambda h, logits: h)
    ratios, errors = proof(recorder)
    assert recorder.proved and max(abs(r - 1) for r in ratios) < 1e-5 and max(errors) < 1e-4
    recorder.save(tmp_path / "t.NPZ", method="dfa", credit_trains=range(2))
    file = np.load(tmp_path / "t.NPZ")
    assert {key: str(file[key]) for key in file.files if not key.startswith("batch")} == {
        "fa_trace": "1", "method": "dfa", "credit_trains": "[0, 1]", "loss_reduction": "mean",
        "reference_proved": "true", "reference_check": json.dumps(recorder.proof)}


def test_the_arrays_are_those_of_jax_grad(params):
    x, y = batch()
    recorder = Recorder(forward)
    recorder.record(params, x, y)
    states = []
    forward(params, x, lambda h: states.append(h) or h)

    def above(h):
        for block in params["blocks"]:
            h = h + jnp.tanh(h @ block)
        return mean_cross_entropy(h @ params["head"], jnp.asarray(y))

    np.testing.assert_allclose(recorder.arrays["batch.0.g.0"], jax.grad(above)(states[0]), rtol=1e-5, atol=1e-8)
    for l in range(3):
        np.testing.assert_array_equal(recorder.arrays[f"batch.0.h.{l}"], states[l])
    np.testing.assert_array_equal(recorder.arrays["batch.0.labels"], y)


def test_a_backward_pass_that_is_a_credit_is_not_proved(params):
    feedback = jnp.asarray(np.random.default_rng(9).standard_normal((WIDTH, WIDTH)), dtype=jnp.float32)

    @jax.custom_vjp
    def turned(h):
        return h

    turned.defvjp(lambda h: (h, None), lambda _, g: (g @ feedback,))
    recorder = Recorder(lambda params, x, tap: forward(params, x, tap, turned))
    with pytest.warns(UserWarning, match="the gradient recorded at h_0, h_1 is not that of the loss"):
        recorder.record(params, *batch())
    assert not recorder.proved and abs(proof(recorder)[0][2] - 1) < 1e-5


def test_a_stop_gradient_is_found_where_all_of_the_gradient_is_gone(params):
    def cut(params, x, tap):
        h = jax.lax.stop_gradient(tap(x @ params["embed"]))
        return tap(jnp.tanh(h @ params["blocks"][0])) @ params["head"]

    recorder = Recorder(cut)
    with pytest.warns(UserWarning, match="the gradient recorded at h_0 is not that of the loss"):
        recorder.record(params, *batch())
    assert proof(recorder)[0][0] == "inf" and proof(recorder)[1][0] > 0.01


def test_jit_scan_and_vmap_are_refused_with_the_remedy(params):
    with pytest.raises(ValueError, match="made by jax.jit.*forward.__wrapped__"):
        Recorder(jax.jit(forward, static_argnums=2))
    Recorder(jax.jit(forward, static_argnums=2).__wrapped__).record(params, *batch())

    def scanned(params, x, tap):
        step = lambda h, block: (tap(h + jnp.tanh(h @ block)), None)
        return jax.lax.scan(step, tap(x @ params["embed"]), jnp.stack(params["blocks"]))[0] @ params["head"]

    def jitted(params, x, tap):
        return jax.jit(lambda x: forward(params, x, tap))(x)

    def by_sample(params, x, tap):
        return jax.vmap(lambda x: forward(params, x, tap))(x)

    plain = Recorder(forward)
    plain.record(params, *batch())
    for function, tapped in ((scanned, 1), (jitted, 0), (by_sample, 0)):
        with pytest.raises(ValueError, match=rf"h_{tapped} is tapped inside of .*with jax.disable_jit\(\)"):
            Recorder(function).record(params, *batch())
        if function is not by_sample:
            recorder = Recorder(function)
            with jax.disable_jit():
                recorder.record(params, *batch())
            assert recorder.proved
            for name, array in plain.arrays.items():
                np.testing.assert_allclose(recorder.arrays[name], array, rtol=1e-5, atol=1e-7)


def test_a_forward_pass_in_its_own_precision_is_proved_in_that(params):
    def single(params, x, tap):
        return forward(jax.tree.map(lambda p: p.astype(jnp.float32), params), x.astype(jnp.float32), tap)

    recorder = Recorder(single)
    recorder.record(params, *batch())
    assert recorder.proved and max(proof(recorder)[1]) < 0.02


def test_a_flax_module_takes_the_tap_as_an_argument():
    linen = pytest.importorskip("flax.linen")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x, tap):
            h = tap(linen.Dense(WIDTH)(x))
            for _ in range(2):
                h = tap(h + linen.Dense(WIDTH)(linen.relu(linen.LayerNorm()(h))))
            return linen.Dense(CLASSES)(h)

    net, (x, y) = Net(), batch()
    recorder = Recorder(net.apply)
    recorder.record(net.init(jax.random.key(0), x, lambda h: h), x, y)
    assert recorder.proved and max(proof(recorder)[1]) < 1e-4


def test_half_precision_is_stored_as_single(params):
    params = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    x, y = batch()
    recorder = Recorder(forward)
    recorder.record(params, x.astype(jnp.bfloat16), y)
    assert recorder.arrays["batch.0.h.1"].dtype == np.float32 and recorder.proved


def test_the_reduction_is_measured_and_must_agree(params):
    total = lambda logits, y: mean_cross_entropy(logits, y) * len(y)
    recorder = Recorder(forward, total)
    recorder.record(params, *batch())
    assert recorder.loss_reduction == "sum" and recorder.proved
    with pytest.raises(ValueError, match="loss_reduction is mean, but .* the loss is a sum"):
        Recorder(forward, total, "mean").record(params, *batch())
    with pytest.raises(ValueError, match="neither a mean nor a sum"):
        Recorder(forward, lambda z, y: mean_cross_entropy(z, y) * len(y) ** 0.5).record(params, *batch())
    with pytest.raises(ValueError, match="loss_reduction is 'average'"):
        Recorder(forward, loss_reduction="average")


def test_what_does_not_fit_is_named(params):
    x, y = batch()
    for function, labels, message in (
        (lambda p, x, tap: x @ p["embed"] @ p["head"], y, "passed nothing through tap"),
        (lambda p, x, tap: (forward(p, x, tap), 0), y, "forward returns tuple: expected logits"),
        (lambda p, x, tap: forward(p, x, tap)[None], y, r"the logits are \[1, 16, 5\]"),
        (lambda p, x, tap: forward(p, x, lambda h: tap(h.T).T), y, r"h_0 is \[6, 16\]: expected the 16 samples first"),
        (lambda p, x, tap: forward(p, x, lambda h: (tap(h > 0), h)[1]), y, "h_0 is bool: expected a real array"),
        (forward, y - 1, r"y holds -1 ... \d: expected classes 0 ... 4"),
        (forward, np.eye(CLASSES)[y], r"y is \[16, 5\] of float32"),
    ):
        with pytest.raises(ValueError, match=message):
            Recorder(function).record(params, x, labels)
    for credit, message in ((lambda h, z: h[:2], "credit returns 2 arrays: expected 3"),
                            (lambda h, z: [h[0].T, h[1], h[2]], r"a_0 is \[6, 16\]: expected \[16, 6\]")):
        with pytest.raises(ValueError, match=message):
            Recorder(forward).record(params, x, y, credit)


def test_a_number_of_taps_that_changes_is_refused(params):
    counts = iter([1, 0, 0])
    with pytest.raises(ValueError, match="forward taps 3 states when it is called again: 4 before"):
        Recorder(lambda p, x, tap: [forward(p, x, tap), tap(x) if next(counts) else x][0]).record(params, *batch())


def test_a_wrong_key_is_named_and_the_recording_is_not_lost(params, tmp_path):
    recorder = Recorder(forward)
    recorder.record(params, *batch())
    for given, message in (({"acuracy": 0.1}, "acuracy is no metadata of a trace: is accuracy meant?"),
                           ({"accuracy": 31}, "accuracy = 31: expected a fraction"),
                           ({"seed": "x"}, "seed = 'x': expected a whole number"),
                           ({"credit_trains": 1}, "credit_trains = 1: expected a list of layers from 0 to 2")):
        with pytest.raises(ValueError, match=message):
            recorder.save(tmp_path / "t.npz", method="bp", **given)
        assert str(np.load(tmp_path / "t.npz")["method"]) == "bp"
    with pytest.raises(ValueError, match="`t.st` does not end in .npz"):
        recorder.save(tmp_path / "t.st")
    assert (tmp_path / "t.st.npz").exists()
    with pytest.warns(UserWarning, match="accuracy = 1, but of the recorded samples"):
        recorder.save(tmp_path / "t.npz", accuracy=1)
    with pytest.raises(ValueError, match="nothing to save"):
        Recorder(forward).save(tmp_path / "t.npz")


def test_a_recording_is_read_by_fa_audit(params, tmp_path, audit):
    recorder = Recorder(forward)
    for seed in range(3):
        recorder.record(params, *batch(seed), lambda h, logits: h)
    recorder.save(tmp_path / "t.npz", method="dfa", arch="mlp", credit_trains=[0, 1])
    assert len(audit(tmp_path / "t.npz")["diagnostics"]["growth"]["hidden_norms"]) == 3
