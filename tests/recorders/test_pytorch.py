"""The PyTorch recorder: what it records is right, what cannot be right is refused, the network stays as it was."""

import functools
import json
import re
import warnings

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from fa_audit.torch import Recorder
from networks import CLASSES, INPUTS, WIDTH, Block, DfaHooks, Net, batch, error


@pytest.fixture(autouse=True)
def _no_warning():
    """A warning that a test does not expect fails it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def proof(recorder):
    return [layer["ratio"] for layer in recorder.proof], [layer["relative_error"] for layer in recorder.proof]


def metadata(path):
    with safe_open(path, "np") as file:
        return file.metadata()


# ------------------------------------------------------------------------------------------------ the reference's proof
def test_a_true_gradient_is_proved_at_every_layer_on_every_batch(tmp_path, capsys):
    net = Net()
    recorder = Recorder(net, net.layers())
    for seed in range(3):
        recorder.record(*batch(seed=seed))
    ratios, errors = proof(recorder)
    assert recorder.proved and len(ratios) == 3
    assert max(abs(r - 1) for r in ratios) < 1e-5 and max(errors) < 1e-4
    assert re.search(r"over what they say:( 1\.00000\d| 0\.99999\d){3};", capsys.readouterr().err)
    recorder.save(tmp_path / "t.safetensors", method="bp")
    said = metadata(tmp_path / "t.safetensors")
    assert said["reference_proved"] == "true" and said["loss_reduction"] == "mean"
    assert json.loads(said["reference_check"]) == recorder.proof
    assert [sorted(layer) for layer in recorder.proof] == [["layer", "ratio", "relative_error"]] * 3


def test_in_double_precision_the_proof_is_exact_to_six_digits():
    net = Net().double()
    x, y = batch()
    recorder = Recorder(net, net.layers())
    recorder.record(x.double(), y)
    assert recorder.proved and max(proof(recorder)[1]) < 1e-6


def test_a_credit_in_the_gradients_place_is_not_proved(tmp_path):
    net = Net()
    hooks = DfaHooks(net.layers())
    x, y = batch()
    hooks.error = error(net(x), y).detach()
    recorder = Recorder(net, net.layers())
    with pytest.warns(UserWarning, match=r"h_0 \(`embed`, Linear\), h_1 .* is not that of the loss"):
        recorder.record(x, y)
    ratios, errors = proof(recorder)
    assert abs(ratios[0]) < 0.6 and abs(ratios[1]) < 0.6 and abs(ratios[2] - 1) < 1e-3
    assert errors[0] > 0.4 and errors[1] > 0.4 and errors[2] < 1e-3
    recorder.save(tmp_path / "t.safetensors")
    assert metadata(tmp_path / "t.safetensors")["reference_proved"] == "false"


def test_hooks_that_are_armed_after_the_first_batch_are_found():
    net = Net()
    hooks = DfaHooks(net.layers())
    recorder = Recorder(net, net.layers())
    recorder.record(*batch(seed=1))
    assert recorder.proved
    x, y = batch(seed=2)
    hooks.error = error(net(x), y).detach()
    with pytest.warns(UserWarning, match="batch 1: the gradient recorded at all layers together"):
        recorder.record(x, y)
    assert not recorder.proved


def test_a_gradient_of_which_a_part_is_missing_is_not_proved():
    # The rest is a projection: along itself it predicts the loss rightly.
    net = Net()
    mask = torch.ones(WIDTH)
    mask[:2] = 0
    net.blocks[0].register_forward_hook(lambda module, inputs, output: output.register_hook(lambda g: g * mask) and None)
    recorder = Recorder(net, net.layers())
    with pytest.warns(UserWarning, match="not that of the loss"):
        recorder.record(*batch())
    ratios, errors = proof(recorder)
    assert abs(ratios[1] - 1) < 1e-4 and errors[1] > 0.01


def test_an_exploded_network_is_proved():
    net = Net()
    with torch.no_grad():
        for block in net.blocks:
            block.branch[3].weight.mul_(1e6)
    recorder = Recorder(net, net.layers())
    recorder.record(*batch())
    assert recorder.tensors["batch.0.h.2"].norm(dim=1).mean() > 1e5
    assert recorder.proved, recorder.proof


def test_a_gradient_that_is_zero_is_proved_to_be():
    net = Net()
    with torch.no_grad():
        net.readout[1].weight.zero_()
    recorder = Recorder(net, net.layers())
    recorder.record(*batch())
    ratios, errors = proof(recorder)
    assert recorder.proved and ratios == [1.0] * 3 and max(errors) < 1e-6


def test_a_gradient_that_is_zero_where_the_loss_changes_is_not_proved():
    net = Net()
    net.blocks[1].register_forward_hook(
        lambda module, inputs, output: output.register_hook(torch.zeros_like) and None)
    recorder = Recorder(net, net.layers())
    with pytest.warns(UserWarning, match="h_0 .*, h_1 .*, h_2 .* is not that of the loss"):
        recorder.record(*batch())
    ratios, errors = proof(recorder)
    assert ratios == ["inf"] * 3 and min(errors) > 0.05


def test_a_gradient_that_is_not_finite_is_recorded_and_not_proved():
    net = Net()
    with torch.no_grad():
        net.embed.bias[0] = torch.nan
    recorder = Recorder(net, net.layers())
    with pytest.warns(UserWarning, match="not that of the loss"):
        recorder.record(*batch())
    assert not recorder.proved and recorder.tensors["batch.0.h.0"].isnan().any()
    json.loads(json.dumps(recorder.proof, allow_nan=False))


def test_digits_that_single_precision_loses_are_named_and_double_precision_has_them():
    net = Net(between=lambda h: h + 3e6)
    x, y = batch()
    recorder = Recorder(net, net.layers())
    with pytest.warns(UserWarning, match=r"h_1 .* is not float64's .*digits are lost; record in float64"):
        recorder.record(x, y)
    ratios, errors = proof(recorder)
    assert not recorder.proved and max(abs(r - 1) for r in ratios) < 1e-3 and errors[1] > 0.1
    double = Recorder(net.double(), net.layers())
    double.record(x.double(), y)
    assert double.proved


def test_where_the_network_has_no_double_precision_its_own_proves():
    net = Net(between=lambda h: h @ constant)
    constant = torch.eye(WIDTH)  # neither parameter nor buffer
    recorder = Recorder(net, net.layers())
    recorder.record(*batch())
    recorder.record(*batch(seed=2))
    assert recorder.proved and max(proof(recorder)[1]) < 0.02


# ----------------------------------------------------------------------------------------------------- arrays are right
def test_the_arrays_are_autograds(tmp_path):
    net = Net()
    x, y = batch()
    states = [net.embed(x)]
    for block in net.blocks:
        states.append(block(states[-1]))
    logits = net.readout(states[-1])
    gradient = torch.autograd.grad(cross_entropy(logits, y), states)
    credit = [torch.randn(len(x), WIDTH) for _ in states]
    recorder = Recorder(net, net.layers())
    recorder.record(x, y, lambda h, z: credit)
    recorder.save(tmp_path / "t.npz")
    found = np.load(tmp_path / "t.npz")
    for l in range(3):
        for field, expected in (("h", states), ("g", gradient), ("a", credit)):
            np.testing.assert_allclose(found[f"batch.0.{field}.{l}"], expected[l].detach(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found["batch.0.logits"], logits.detach(), rtol=1e-6)
    assert (found["batch.0.labels"] == y.numpy()).all()


def test_what_follows_may_change_a_state_in_place():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES))
    changing = nn.Sequential(plain[0], plain[1], nn.ReLU(inplace=True), plain[3])
    recorders = [Recorder(net, [net[0], net[1]]) for net in (plain, changing)]
    recorders[0].record(*batch())
    with pytest.warns(UserWarning, match=r"h_1 \(`1`, Linear\) returns is changed in place"):
        recorders[1].record(*batch())
    assert recorders[1].proved
    for name, tensor in recorders[0].tensors.items():
        assert torch.equal(tensor, recorders[1].tensors[name]), name
    assert (recorders[1].tensors["batch.0.h.1"] < 0).any()


def test_frozen_parameters_and_inputs_without_gradient_change_nothing():
    net = Net()
    free, frozen = Recorder(net, net.layers()), Recorder(net, net.layers())
    free.record(*batch())
    net.requires_grad_(False)
    frozen.record(*batch())
    assert all(torch.equal(tensor, frozen.tensors[name]) for name, tensor in free.tensors.items())


def test_a_tuple_gives_its_first_tensor_and_reaches_the_next_module_whole():
    class Pair(Block):
        def forward(self, h):
            return super().forward(h), torch.zeros(3)

    net, plain = Net(between=lambda pair: pair[0], block=Pair), Net()
    plain.load_state_dict(net.state_dict())
    net.blocks[1] = plain.blocks[1]
    recorders = [Recorder(n, n.layers()) for n in (net, plain)]
    for recorder in recorders:
        recorder.record(*batch())
    assert all(torch.equal(tensor, recorders[1].tensors[name]) for name, tensor in recorders[0].tensors.items())


def test_feature_maps_are_stored_flat_and_their_credit_may_be_either():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.LazyLinear(CLASSES))
    x, y = batch(inputs=(3, 6, 6))
    net(x)
    recorder = Recorder(net, [net[0], net[1]])
    recorder.record(x, y, lambda h, z: [torch.ones_like(h[0]), torch.ones_like(h[1]).flatten(1)])
    assert recorder.proved
    assert [list(recorder.tensors[f"batch.0.{f}.0"].shape) for f in "hga"] == [[16, 64]] * 3
    assert list(recorder.tensors["batch.0.a.1"].shape) == [16, 16]


def test_batches_in_one_buffer_and_credits_in_one_tensor_are_copied(tmp_path):
    net = Net()
    recorder = Recorder(net, net.layers())
    x, y = (t.clone() for t in batch())
    one = torch.zeros(len(x), WIDTH)
    for seed in (1, 2):
        new_x, new_y = batch(seed=seed)
        x.copy_(new_x)
        y.copy_(new_y)
        recorder.record(x, y, lambda h, z: [one.add_(1)] * 3)
    recorder.save(tmp_path / "t.safetensors")
    with safe_open(tmp_path / "t.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("batch.0.labels"), batch(seed=1)[1])
        assert (file.get_tensor("batch.0.a.2") == 1).all() and (file.get_tensor("batch.1.a.2") == 2).all()


# ------------------------------------------------------------------------------------------ calls, order, cut-off states
def test_a_module_that_is_called_twice_or_never_is_named():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(INPUTS, WIDTH), relu, nn.Linear(WIDTH, WIDTH), relu, nn.Linear(WIDTH, CLASSES))
    with pytest.raises(ValueError, match=r"h_1 \(`1`, ReLU\) was called 2 times"):
        Recorder(net, [net[0], relu]).record(*batch())
    net = Net()
    net.spare = nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"h_1 \(`spare`, Linear\) was never called"):
        Recorder(net, [net.embed, net.spare]).record(*batch())


def test_a_module_used_by_another_method_than_forward_is_named():
    class ByBranch(Net):
        def forward(self, x):
            h = self.embed(x)
            for block in self.blocks:
                h = h + block.branch(h)
            return self.readout(h)

    net = ByBranch()
    with pytest.raises(ValueError, match=r"h_1 \(`blocks.0`, Block\) was never called.*another\s+method than forward"):
        Recorder(net, net.layers()).record(*batch())


def test_layers_in_another_order_than_called_are_refused():
    net = Net()
    with pytest.raises(ValueError, match=r"another order than given: \[1, 0, 2\]"):
        Recorder(net, [net.blocks[0], net.embed, net.blocks[1]]).record(*batch())


def test_layers_that_are_no_modules_of_the_network_are_refused_at_once():
    net = Net()
    with pytest.raises(ValueError, match=r"layers\[1\] \(Linear\) is no module of net"):
        Recorder(net, [net.embed, nn.Linear(2, 2)])
    with pytest.raises(ValueError, match=r"layers\[0\] and layers\[2\] are the same module, `embed`"):
        Recorder(net, [net.embed, net.blocks[0], net.embed])
    with pytest.raises(ValueError, match="has no layers"):
        Recorder(net, [])


def test_a_detached_state_is_named():
    net = Net(between=lambda h: h.detach())
    with pytest.raises(ValueError, match=r"no gradient reaches h_1 \(`blocks.0`, Block\): h_2 .* or .* detached"):
        Recorder(net, net.layers()).record(*batch())


def test_a_readout_that_is_cut_off_or_looks_elsewhere_is_named():
    net = Net()
    with pytest.raises(ValueError, match="the loss depends on no state"):
        Recorder(net, net.layers(), forward=lambda net, x, y: net(x).detach()).record(*batch())
    net.aside = nn.Linear(INPUTS, WIDTH)
    with pytest.raises(ValueError, match=r"no gradient reaches h_3 \(`aside`, Linear\): the loss does not"):
        Recorder(net, [*net.layers(), net.aside], forward=lambda net, x, y: (net(x), net.aside(x))[0]).record(*batch())


def test_a_buffer_that_is_written_again_is_found():
    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(INPUTS, WIDTH), nn.Linear(WIDTH, WIDTH)
            self.buffer = torch.empty(16, WIDTH)
            self.taps = nn.ModuleList([nn.Identity(), nn.Identity()])
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, x):
            h = self.taps[0](self.buffer.data.copy_(self.first(x)))
            return self.head(self.taps[1](self.second(h) + self.buffer.data.copy_(torch.zeros(16, WIDTH))))

    net = Reused()
    with pytest.raises(ValueError, match=r"h_0 \(`taps.0`, Identity\) was overwritten"):
        Recorder(net, list(net.taps)).record(*batch())


def test_outputs_of_which_none_is_the_state_are_refused():
    class Two(nn.Module):
        def forward(self, h):
            return h, -h

    class Named(nn.Module):
        def forward(self, h):
            return {"h": h}

    net = Net()
    net.tail = Two()
    with pytest.raises(ValueError, match=r"h_3 \(`tail`, Two\) returns several tensors of one shape"):
        Recorder(net, [*net.layers(), net.tail], forward=lambda net, x, y: net.tail(net(x))[0]).record(*batch())
    net.tail = Named()
    with pytest.raises(ValueError, match=r"returns dict: expected a real tensor"):
        Recorder(net, [*net.layers(), net.tail], forward=lambda net, x, y: net.tail(net(x))["h"]).record(*batch())


def test_a_state_whose_samples_are_not_first_is_refused():
    class Turn(nn.Module):
        def forward(self, h):
            return h.T

    net = nn.Sequential(nn.Linear(INPUTS, WIDTH), Turn(), Turn(), nn.Linear(WIDTH, CLASSES))
    with pytest.raises(ValueError, match=r"h_1 .* is \[6, 16\]: expected the 16 samples first"):
        Recorder(net, [net[0], net[1]]).record(*batch())


# ------------------------------------------------------------------------------------- the network stays as it was
def test_train_mode_and_running_statistics_are_as_before_and_eval_mode_is_recorded():
    def build():
        return nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(0.5), nn.Linear(WIDTH, CLASSES))

    net, twin = build(), build()
    twin.load_state_dict(net.state_dict())
    net[2].eval()  # modes may differ by module
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recorder, evaluated = Recorder(net, [net[0], net[1]]), Recorder(twin.eval(), [twin[0], twin[1]])
    for one in (recorder, evaluated):
        one.record(*batch())
    assert recorder.proved
    assert [module.training for module in net] == [True, True, False, True] and net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(tensor, evaluated.tensors[name]) for name, tensor in recorder.tensors.items())


def test_statistics_that_a_network_keeps_in_eval_mode_are_as_before():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, h):
            self.calls += 1
            return h * 1

    net = Net(between=Counts())
    Recorder(net, net.layers()).record(*batch())
    assert net.between.calls == 0


def test_gradients_under_accumulation_parameters_and_random_numbers_are_as_before():
    net = Net()
    x, y = batch()
    cross_entropy(net(x), y).backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    values = [p.detach().clone() for p in net.parameters()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Recorder(net, net.layers()).record(*batch(seed=2))
    assert torch.equal(torch.rand(3), expected)
    for p, g, v in zip(net.parameters(), gradients, values, strict=True):
        assert torch.equal(p.grad, g) and torch.equal(p, v) and p.dtype == torch.float32
    cross_entropy(net(x), y).backward()
    for p, g in zip(net.parameters(), gradients, strict=True):
        torch.testing.assert_close(p.grad, 2 * g)


def test_after_an_error_the_network_is_as_before():
    net = Net(between=lambda h: h.detach())
    with pytest.raises(ValueError, match="uncut"):
        Recorder(net, net.layers()).record(*batch())
    assert net.training and not any(module._forward_hooks for module in net.modules())
    assert all(p.dtype == torch.float32 for p in net.parameters())


def test_dropout_in_eval_mode_is_refused():
    net = Net(between=lambda h: dropout(h, 0.5))
    with pytest.raises(ValueError, match="two forward passes of the same batch differ"):
        Recorder(net, net.layers()).record(*batch())


def test_under_no_grad_and_inference_mode_the_recording_is_the_same():
    net = Net()
    recorders = [Recorder(net, net.layers()) for _ in range(3)]
    recorders[0].record(*batch())
    with torch.no_grad():
        recorders[1].record(*batch())
    with torch.inference_mode():
        recorders[2].record(*batch())  # batches are made in inference mode too
    for other in recorders[1:]:
        assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in recorders[0].tensors.items())


# ------------------------------------------------------------------------------------------------------------ the loss
def test_the_reduction_is_measured_and_every_word_for_it_must_agree():
    net = Net()
    for loss, expected in ((cross_entropy, "mean"), (nn.CrossEntropyLoss(), "mean"),
                           (nn.CrossEntropyLoss(reduction="sum"), "sum"),
                           (functools.partial(cross_entropy, reduction="sum"), "sum"),
                           (nn.CrossEntropyLoss(weight=torch.rand(CLASSES) + 0.5, label_smoothing=0.1), "mean"),
                           (lambda z, y: 65536 * cross_entropy(z, y, reduction="sum") + 3, "sum")):
        recorder = Recorder(net, net.layers(), loss)
        recorder.record(*batch())
        assert recorder.loss_reduction == expected and recorder.proved
    with pytest.raises(ValueError, match="loss_reduction is mean, but .* the loss is a sum"):
        Recorder(net, net.layers(), nn.CrossEntropyLoss(reduction="sum"), "mean").record(*batch())

    class Lies(nn.CrossEntropyLoss):
        def forward(self, z, y):
            return super().forward(z, y) * len(y)

    with pytest.raises(ValueError, match="the loss's own reduction is mean, but .* a sum"):
        Recorder(net, net.layers(), Lies()).record(*batch())
    with pytest.raises(ValueError, match="neither a mean nor a sum"):
        Recorder(net, net.layers(), lambda z, y: cross_entropy(z, y) * len(y) ** 0.5).record(*batch())
    with pytest.raises(ValueError, match=r"the loss is of shape \[16\]: expected a scalar"):
        Recorder(net, net.layers(), nn.CrossEntropyLoss(reduction="none")).record(*batch())
    with pytest.raises(ValueError, match="loss_reduction is 'average'"):
        Recorder(net, net.layers(), loss_reduction="average")


def test_what_is_no_logits_or_no_classes_is_refused():
    net = Net()
    x, y = batch()
    for forward, labels, message in (
        (lambda net, x, y: {"z": net(x)}, y, "net returns dict: expected logits"),
        (lambda net, x, y: net(x)[:, None], y, r"the logits are \[16, 1, 5\]: expected \[N, classes\]"),
        (lambda net, x, y: net(x), y.float(), r"y is \[16\] of torch.float32: expected a tensor of classes \[16\]"),
        (lambda net, x, y: net(x), y[:3], r"y is \[3\]"),
        (lambda net, x, y: net(x), y.tolist(), "y is list"),
        (lambda net, x, y: net(x), y - 1, r"y holds -1 ... \d: expected classes 0 ... 4"),
    ):
        with pytest.raises(ValueError, match=message):
            Recorder(net, net.layers(), forward=forward).record(x, labels)


# ---------------------------------------------------------------------------------------------------- credit, reference
def test_a_credit_of_another_shape_is_named():
    net = Net()
    for credit, message in ((lambda h, z: h[:2], r"credit returns 2 tensors: expected 3, a_0 ... a_2"),
                            (lambda h, z: [h[0], h[1].T, h[2]], r"a_1 is \[6, 16\]: expected \[16, 6\]"),
                            (lambda h, z: [h[0], h[1], None], r"a_2 is NoneType")):
        with pytest.raises(ValueError, match=message):
            Recorder(net, net.layers()).record(*batch(), credit)


def test_batches_hold_the_same_arrays_or_are_refused():
    net = Net()
    recorder = Recorder(net, net.layers())
    recorder.record(*batch(), lambda h, z: h)
    with pytest.raises(ValueError, match="batch 1 and batch 0 do not hold the same: a.0, a.1, a.2"):
        recorder.record(*batch(seed=2))
    assert recorder.batches == 1 and not any(name.startswith("batch.1") for name in recorder.tensors)


def test_with_a_plain_twin_the_networks_own_backward_pass_is_the_credit():
    net, twin = Net(), Net()
    hooks = DfaHooks(net.layers())
    twin.load_state_dict(net.state_dict())
    x, y = batch()
    hooks.error = error(net(x), y).detach()
    recorder = Recorder(net, net.layers(), reference=twin, reference_layers=twin.layers())
    recorder.record(x, y)
    plain = Recorder(twin, twin.layers())
    plain.record(x, y)
    assert recorder.proved
    for l in range(3):
        assert torch.equal(recorder.tensors[f"batch.0.g.{l}"], plain.tensors[f"batch.0.g.{l}"])
    expected = hooks.error @ hooks.feedback[0].T / len(x)
    torch.testing.assert_close(recorder.tensors["batch.0.a.0"], expected)


def test_a_twin_of_other_weights_or_layers_is_refused():
    net, other = Net(), Net()
    with pytest.raises(ValueError, match="reference is another network: h_0 is not the same"):
        Recorder(net, net.layers(), reference=other, reference_layers=other.layers()).record(*batch())
    with pytest.raises(ValueError, match="3 layers, but 2 reference_layers"):
        Recorder(net, net.layers(), reference=other, reference_layers=other.layers()[1:])
    with pytest.raises(ValueError, match="belong together"):
        Recorder(net, net.layers(), reference=other)


# ------------------------------------------------------------------------------------------------- compiled and wrapped
def test_activation_checkpointing_is_recorded():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(Net):
        def forward(self, x):
            h = self.embed(x)
            for block in self.blocks:
                h = checkpoint(block, h, use_reentrant=False)
            return self.readout(h)

    net, plain = Checkpointed(), Net()
    plain.load_state_dict(net.state_dict())
    recorders = [Recorder(n, n.layers()) for n in (net, plain)]
    for recorder in recorders:
        recorder.record(*batch())
    assert recorders[0].proved
    assert all(torch.equal(tensor, recorders[1].tensors[name]) for name, tensor in recorders[0].tensors.items())


@pytest.mark.parametrize("how", ["network", "block", "in place", "method"])
def test_a_compiled_network_runs_uncompiled(how):
    net = Net()
    plain = Recorder(net, net.layers())
    plain.record(*batch())
    compiled, layers = net, net.layers()
    if how == "network":
        compiled = torch.compile(net, backend="eager")
    elif how == "block":
        net.blocks[0] = torch.compile(net.blocks[0], backend="eager")
        layers = net.layers()
    elif how == "in place":
        net.compile(backend="eager")
    else:
        net.forward = torch.compile(net.forward, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        compiled(batch()[0])  # compiled before the hooks are there, which it then skips
    recorder = Recorder(compiled, layers)
    recorder.record(*batch())
    assert recorder.proved
    assert all(torch.equal(tensor, recorder.tensors[name]) for name, tensor in plain.tensors.items())


def test_a_scripted_network_is_refused_with_the_remedy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        net = torch.jit.script(nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Linear(WIDTH, CLASSES)))
    with pytest.raises(ValueError, match=r"layers\[0\] was made by torch.jit, .* give the network before that"):
        Recorder(net, [getattr(net, "0"), getattr(net, "1")])


# ----------------------------------------------------------------------------------------------------------------- save
@pytest.fixture
def recorder():
    net = Net()
    recorder = Recorder(net, net.layers())
    recorder.record(*batch(), lambda h, z: h)
    return recorder


def test_a_wrong_key_is_named_and_the_recording_is_not_lost(recorder, tmp_path):
    for given, message in (
        ({"acuracy": 0.1}, "acuracy is no metadata of a trace: is accuracy meant?"),
        ({"colour": 1}, "colour is no metadata of a trace .method, arch,"),
        ({"loss_reduction": "mean"}, "loss_reduction is no metadata"),
        ({"accuracy": 93.1}, "accuracy = 93.1: expected a fraction from 0 to 1"),
        ({"frozen_accuracy": float("nan")}, "frozen_accuracy = nan: expected a fraction"),
        ({"seed": -1}, "seed = -1: expected a whole number from 0"),
        ({"epoch": 1.5}, "epoch = 1.5"),
        ({"tokens": "last"}, "tokens = 'last': expected cls or mean"),
        ({"credit_trains": [0, 3]}, r"credit_trains = \[0, 3\]: expected a list of layers from 0 to 2"),
    ):
        path = tmp_path / f"{next(iter(given))}.safetensors"
        with pytest.raises(ValueError, match=message):
            recorder.save(path, method="dfa", **given)
        said = metadata(path)
        assert said["method"] == "dfa" and not set(given) & set(said) - {"loss_reduction"}


def test_every_key_is_written_as_the_layout_has_it(recorder, tmp_path):
    share = recorder.right / recorder.samples
    recorder.save(tmp_path / "t.safetensors", method="dfa", arch="mlp", dataset="none", seed=42, epoch=3, epochs=4,
                  accuracy=torch.tensor(share), frozen_accuracy=np.float64(0.25), terminal_norm="layernorm", tokens="cls",
                  credit_trains=range(2))
    said = metadata(tmp_path / "t.safetensors")
    assert float(said.pop("accuracy")) == pytest.approx(share) and said.pop("reference_check")
    assert said == {"fa_trace": "1", "method": "dfa", "arch": "mlp", "dataset": "none", "seed": "42", "epoch": "3",
                    "epochs": "4", "frozen_accuracy": "0.25", "terminal_norm": "layernorm", "tokens": "cls",
                    "credit_trains": "[0, 1]", "reference_proved": "true", "loss_reduction": "mean"}


def test_an_accuracy_that_the_recorded_logits_contradict_is_doubted(recorder, tmp_path):
    with pytest.warns(UserWarning, match=r"accuracy = 0.999, but of the recorded samples \d+ of 16"):
        recorder.save(tmp_path / "t.safetensors", accuracy=0.999)


@pytest.mark.parametrize("name", ["t.NPZ", "t.npz", "t.SafeTensors", "t.safetensors"])
def test_the_endings_are_read_in_any_case(recorder, tmp_path, name):
    recorder.save(tmp_path / name, method="dfa")
    assert [file.name for file in tmp_path.iterdir()] == [name]
    if name.lower().endswith("npz"):
        assert str(np.load(tmp_path / name)["method"]) == "dfa"
    else:
        assert metadata(tmp_path / name)["method"] == "dfa"


def test_another_ending_is_refused_and_the_recording_is_not_lost(recorder, tmp_path):
    with pytest.raises(ValueError, match=r"`t.pt` ends neither in .safetensors nor in .npz"):
        recorder.save(tmp_path / "t.pt", method="dfa")
    assert metadata(tmp_path / "t.pt.safetensors")["method"] == "dfa"


def test_nothing_recorded_is_nothing_to_save(tmp_path):
    net = Net()
    with pytest.raises(ValueError, match="record.. was not called"):
        Recorder(net, net.layers()).save(tmp_path / "t.npz")


def test_half_precision_is_kept_where_the_format_has_it(tmp_path):
    net = Net().bfloat16()
    x, y = batch()
    recorder = Recorder(net, net.layers())
    recorder.record(x.bfloat16(), y)
    assert recorder.proved and all(p.dtype == torch.bfloat16 for p in net.parameters())
    recorder.save(tmp_path / "t.safetensors")
    recorder.save(tmp_path / "t.npz")
    with safe_open(tmp_path / "t.safetensors", "pt") as file:
        h = file.get_tensor("batch.0.h.1")
    assert h.dtype == torch.bfloat16
    npz = np.load(tmp_path / "t.npz")["batch.0.h.1"]
    assert npz.dtype == np.float32 and (npz == h.float().numpy()).all()


def test_a_recording_is_read_by_fa_audit(tmp_path, audit):
    net = Net()
    feedback = [torch.randn(WIDTH, CLASSES) for _ in range(3)]
    for name in ("t.safetensors", "t.npz"):
        recorder = Recorder(net, net.layers())
        for seed in range(3):
            x, y = batch(seed=seed)
            recorder.record(x, y, lambda h, z, y=y: [error(z, y) @ b.T for b in feedback])
        recorder.save(tmp_path / name, method="dfa", arch="mlp", seed=1, credit_trains=[0, 1])
        found = audit(tmp_path / name)
        assert len(found["diagnostics"]["growth"]["hidden_norms"]) == 3
