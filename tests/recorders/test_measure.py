"""`measure`: what a training's evaluations are reduced to is what the audit of a trace of the same batches finds."""

import json
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from fa_audit.torch import Recorder
from networks import CLASSES, INPUTS, WIDTH, DfaHooks, Net, batch, error


@pytest.fixture(autouse=True)
def _no_warning():
    """A warning that a test does not expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def dfa(layers=3):
    feedback = [torch.randn(WIDTH, CLASSES) for _ in range(layers)]
    return lambda y: lambda h, z: [error(z.float(), y).to(z.dtype) @ b.T.to(z.dtype) for b in feedback]


def same_as_the_audits(line, verdict, tolerance):
    """A line of the history and verdict.json."""
    def near(found, expected):
        assert found == pytest.approx(expected, rel=tolerance, abs=1e-9)

    near(line["hidden_norms"], verdict["diagnostics"]["growth"]["hidden_norms"])
    near(line["growth"], verdict["diagnostics"]["growth"]["value"])
    near(line["gradient_norms"], verdict["diagnostics"]["reference"]["per_layer"])
    near(line["cosine"], verdict["cosine"]["per_layer"])
    near(line["global_cosine"], verdict["evidence"]["credit"]["global_cosine"])
    near(line["relative_scale"], verdict["evidence"]["credit"]["relative"])


@pytest.mark.parametrize("scale", [1, 1e-6])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_measured_evaluation_is_what_the_audit_finds_in_a_trace_of_it(tmp_path, audit, reduction, scale):
    net, credit = Net(), dfa()
    with torch.no_grad():
        net.readout[1].weight *= scale
    recorder = Recorder(net, net.layers(), loss=nn.CrossEntropyLoss(reduction=reduction))
    for seed in range(3):
        x, y = batch(16 + seed % 2, seed=seed)  # an even number and an odd
        recorder.measure(x, y, credit(y))
        recorder.record(x, y, credit(y))
    line = recorder.conclude(epoch=4, test_accuracy=0.25, step=77)
    assert (line["epoch"], line["step"], line["test_accuracy"], line["samples"]) == (4, 77, 0.25, 49)
    recorder.save(tmp_path / "t.safetensors", method="dfa")
    same_as_the_audits(line, audit(tmp_path / "t.safetensors"), 2e-5)
    logits = torch.cat([net(batch(16 + seed % 2, seed=seed)[0]) for seed in range(3)])
    labels = torch.cat([batch(16 + seed % 2, seed=seed)[1] for seed in range(3)])
    assert line["recorded_accuracy"] == (logits.argmax(1) == labels).double().mean().item()
    assert line["recorded_loss"] == pytest.approx(cross_entropy(logits, labels).item(), rel=1e-5)


@pytest.mark.parametrize("tokens", ["cls", "mean"])
def test_of_tokens_that_is_measured_which_the_audit_measures_and_the_layers_that_train_are_said(tmp_path, audit, tokens):
    class Head(nn.Module):
        def forward(self, h):
            return h[:, 0] + h.mean(1)

    net = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), Head(), nn.Linear(WIDTH, CLASSES))
    recorder = Recorder(net, [net[0], net[1], net[2]], tokens=tokens, credit_trains=[1, 2])
    x, y = batch(16, (5, INPUTS))
    a = [torch.randn(16, 5, WIDTH) for _ in range(3)]
    recorder.measure(x, y, lambda h, z: a)
    recorder.record(x, y, lambda h, z: a)
    recorder.save(tmp_path / "t.safetensors", method="other")
    verdict = audit(tmp_path / "t.safetensors")
    assert verdict["cosine"]["trains"] == [1, 2] and verdict["evaluation"]["tokens"] == tokens
    same_as_the_audits(recorder.conclude(epoch=1), verdict, 2e-5)


def test_what_single_precision_cannot_square_is_measured_as_it_is():
    net = Net()
    recorder = Recorder(net, net.layers())
    x, y = batch()
    direction = torch.randn(len(x), WIDTH)
    sizes = (1e-25, 1.0, 1e25)
    recorder.measure(x, y, lambda h, z: [direction * size for size in sizes])
    near = recorder.conclude(epoch=1)
    recorder.measure(x, y, lambda h, z: [direction.double() * size for size in sizes])
    assert near["cosine"] == pytest.approx(recorder.conclude(epoch=2)["cosine"], rel=1e-4)
    assert near["relative_scale"][1] / near["relative_scale"][0] > 1e24 and all(map(math.isfinite, near["cosine"]))


def test_a_credit_of_zeros_has_a_cosine_of_zero_and_what_is_not_finite_is_a_word(tmp_path):
    net = Net()
    recorder = Recorder(net, net.layers())
    x, y = batch()
    recorder.measure(x, y, lambda h, z: [torch.zeros_like(t) for t in h])
    assert recorder.conclude(epoch=1)["cosine"] == [0.0] * 3
    with torch.no_grad():
        net.embed.bias[0] = torch.nan
    with pytest.warns(UserWarning, match="is not that of the loss"):
        recorder.measure(x, y, dfa()(y))
    assert recorder.conclude(epoch=2)["hidden_norms"] == ["nan"] * 3
    recorder.save_history(tmp_path / "history.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert lines == recorder.history and lines[1]["growth"] == "nan"


def test_the_check_is_of_every_evaluation_and_hooks_that_are_armed_later_are_found():
    net = Net()
    hooks = DfaHooks(net.layers())
    recorder = Recorder(net, net.layers())
    for epoch in (1, 2):
        recorder.measure(*batch(seed=epoch))
        check = recorder.conclude(epoch)["check"]
        assert check["proved"] and abs(check["ratio"] - 1) < (1e-6 if epoch == 1 else 0.05)
    x, y = batch(seed=3)
    hooks.error = error(net(x), y).detach()
    with pytest.warns(UserWarning, match="gradient measured at h_0 ... h_L is not that of the loss"):
        recorder.measure(x, y)
    check = recorder.conclude(3)["check"]
    assert not check["proved"] and abs(check["ratio"] - 1) > 0.1


def test_an_exploded_network_is_measured_and_proved():
    net = Net()
    with torch.no_grad():
        for block in net.blocks:
            block.branch[3].weight.mul_(1e6)
    recorder = Recorder(net, net.layers())
    for epoch in (1, 2):
        recorder.measure(*batch())
        line = recorder.conclude(epoch)
        assert line["growth"] > 1e3 and line["check"]["proved"], line


def test_a_plain_twin_gives_the_reference_and_the_network_the_credit():
    plain, net = Net(), Net()
    net.load_state_dict(plain.state_dict())
    hooks = DfaHooks(net.layers())
    x, y = batch()
    hooks.error = error(net(x), y).detach()
    recorder = Recorder(net, net.layers(), reference=plain, reference_layers=plain.layers())
    recorder.measure(x, y)
    line = recorder.conclude(1)
    expected = [hooks.error @ b.T for b in hooks.feedback[:2]]
    alone = Recorder(plain, plain.layers())
    alone.measure(x, y, lambda h, z: [*expected, torch.zeros_like(h[2])])
    assert line["cosine"][:2] == pytest.approx(alone.conclude(1)["cosine"][:2], rel=1e-4)
    assert line["cosine"][2] == pytest.approx(1)


def test_measuring_changes_nothing_of_a_training():
    credit = dfa()

    def trained(measure):
        torch.manual_seed(3)
        net = Net(between=nn.Dropout(0.3))
        net.dropout = net.between
        net.embed = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.BatchNorm1d(WIDTH))
        optimizer = torch.optim.AdamW(net.parameters())
        recorder = Recorder(net, net.layers())
        for epoch in range(3):
            for step in range(3):
                x, y = batch(seed=step)
                cross_entropy(net(x), y).backward()
                if measure:
                    recorder.measure(*batch(seed=99), credit(batch(seed=99)[1]))
                optimizer.step()
                optimizer.zero_grad()
            if measure:
                recorder.conclude(epoch)
        return net.state_dict()

    measured, plain = trained(True), trained(False)
    assert "embed.1.running_mean" in plain
    assert all(torch.equal(value, plain[name]) for name, value in measured.items())


def test_what_cannot_be_concluded_is_refused():
    net = Net()
    recorder = Recorder(net, net.layers())
    with pytest.raises(ValueError, match="nothing to conclude"):
        recorder.conclude(1)
    x, y = batch()
    recorder.measure(x, y)
    with pytest.raises(ValueError, match="one batch of this evaluation has a credit"):
        recorder.measure(x, y, dfa()(y))
    with pytest.raises(ValueError, match=r"accuracy = 31: expected a fraction"):
        recorder.conclude(1, test_accuracy=31)
    with pytest.raises(ValueError, match=r"epoch = -1: expected a whole number"):
        recorder.conclude(-1)
    assert recorder.conclude(1)["samples"] == len(y)
    with pytest.raises(ValueError, match=r"tokens = 'first': expected cls or mean"):
        Recorder(net, net.layers(), tokens="first")
    with pytest.raises(ValueError, match=r"credit_trains = \[7\]: expected a list of layers from 0 to 2"):
        Recorder(net, net.layers(), credit_trains=[7])


def test_jax_measures_what_the_audit_and_pytorch_do(tmp_path, audit):
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    from fa_audit.jax import Recorder as JaxRecorder

    net, credit = Net(), dfa()
    params = {name: jnp.asarray(value.numpy()) for name, value in net.state_dict().items()}

    def norm(h, name):
        h = (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-5)
        return h * params_of[name + ".weight"] + params_of[name + ".bias"]

    params_of = params

    def linear(params, h, name):
        return h @ params[name + ".weight"].T + params[name + ".bias"]

    def forward(params, x, tap):
        h = tap(linear(params, x, "embed"))
        for l in range(2):
            inner = jax.nn.gelu(linear(params, norm(h, f"blocks.{l}.branch.0"), f"blocks.{l}.branch.1"), approximate=False)
            h = tap(h + linear(params, inner, f"blocks.{l}.branch.3"))
        return linear(params, norm(h, "readout.0"), "readout.1")

    ours, theirs = JaxRecorder(forward), Recorder(net, net.layers())
    for epoch in (1, 2):
        for seed in range(2):
            x, y = batch(17, seed=seed)
            given = [t.detach().numpy() for t in credit(y)([], net(x))]
            ours.measure(params, x.numpy(), y.numpy(), lambda h, z, given=given: [jnp.asarray(a) for a in given])
            theirs.measure(x, y, credit(y))
        line, other = ours.conclude(epoch, 0.5, 3), theirs.conclude(epoch, 0.5, 3)
        assert line.keys() == other.keys() and line["check"]["proved"]
        for key in set(line) - {"seconds", "check"}:
            assert line[key] == pytest.approx(other[key], rel=1e-4, abs=1e-6), key
    for seed in range(2):
        x, y = batch(17, seed=seed)
        ours.record(params, x.numpy(), y.numpy(), lambda h, z, y=y: [jnp.asarray(a.detach().numpy())
                                                                     for a in credit(y)([], torch.tensor(z.tolist()))])
    ours.save(tmp_path / "t.npz", method="dfa")
    same_as_the_audits(ours.history[-1], audit(tmp_path / "t.npz"), 1e-4)


def test_jax_finds_a_gradient_that_a_custom_vjp_has_replaced():
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    from fa_audit.jax import Recorder as JaxRecorder

    @jax.custom_vjp
    def replaced(h):
        return h

    replaced.defvjp(lambda h: (h, h), lambda h, g: (jnp.roll(g, 1, axis=1),))

    def forward(params, x, tap):
        return tap(replaced(tap(x @ params))) @ params.T

    recorder = JaxRecorder(forward)
    params = jax.random.normal(jax.random.key(0), (CLASSES, WIDTH))
    x, y = batch(16, (CLASSES,))
    with pytest.warns(UserWarning, match="a custom_vjp or a stop_gradient lies between"):
        recorder.measure(params, x.numpy(), y.numpy())
    assert not recorder.conclude(1)["check"]["proved"]
