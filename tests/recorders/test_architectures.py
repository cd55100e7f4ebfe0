"""The PyTorch recorder on what people train: transformers, Lightning, DistributedDataParallel, autocast, a CNN with
BatchNorm, gradient accumulation. Each is recorded and proved, or refused with what to do. All are tiny and random."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, gelu

from fa_audit.torch import Recorder
from networks import CLASSES, INPUTS, WIDTH, Block, Net, batch, error

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def sentences(samples=8, tokens=6, classes=3):
    random = torch.Generator().manual_seed(1)
    return torch.randint(50, (samples, tokens), generator=random), torch.randint(classes, (samples,), generator=random)


def recorded(net, layers, x, y, audit_with=None, **how):
    """A recorder with two batches of DFA's credit."""
    recorder = Recorder(net, layers, **how)
    feedback = None
    for _ in range(2):
        def credit(hidden, logits):
            nonlocal feedback
            feedback = feedback or [torch.randn(h.shape[-1], logits.shape[1]) for h in hidden]
            return [error(logits.float(), y) @ b.T for b in feedback]
        recorder.record(x, y, credit)
    return recorder


# --------------------------------------------------------------------------------------------------------- transformers
def test_a_bert_is_recorded_at_its_embeddings_and_encoder_layers(tmp_path):
    transformers = pytest.importorskip("transformers")
    net = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=50, num_labels=3, **SIZES))
    net.train()
    x, y = sentences()
    inputs = {"input_ids": x, "attention_mask": torch.ones_like(x)}
    layers = [net.bert.embeddings, *net.bert.encoder.layer]
    with pytest.raises(ValueError, match=r"forward=lambda net, x, y: net\(x\).logits"):
        Recorder(net, layers, forward=lambda net, x, y: net(**x)).record(inputs, y)
    recorder = recorded(net, layers, inputs, y, forward=lambda net, x, y: net(**x).logits)
    assert recorder.proved and net.training
    assert recorder.tensors["batch.0.g.1"].shape == (8, 6, 16)
    # The classifier reads the first token, the loss nothing else of h_L.
    assert recorder.tensors["batch.0.g.2"][:, 0].any() and not recorder.tensors["batch.0.g.2"][:, 1:].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.save(tmp_path / "bert.safetensors", method="dfa", arch="bert", tokens="cls")


def test_a_vit_is_recorded_at_its_embeddings_and_encoder_layers():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_labels=CLASSES, **SIZES)
    net = transformers.ViTForImageClassification(config)
    x, y = batch(8, (3, 8, 8))
    blocks = [module for module in net.modules() if type(module).__name__ == "ViTLayer"]
    recorder = recorded(net, [net.vit.embeddings, *blocks], x, y, forward=lambda net, x, y: net(x).logits)
    assert len(blocks) == 2 and recorder.proved
    assert recorder.tensors["batch.0.h.2"].shape == (8, 5, 16)


def test_a_gpt2_reads_its_last_token_and_is_saved_as_the_mean(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, num_labels=3, pad_token_id=49)
    net = transformers.GPT2ForSequenceClassification(config)
    x, y = sentences()
    layers = [net.transformer.drop, *net.transformer.h]
    recorder = recorded(net, layers, x.clamp(max=48), y, forward=lambda net, x, y: net(x).logits)
    assert recorder.proved
    assert recorder.tensors["batch.0.g.2"][:, -1].any() and not recorder.tensors["batch.0.g.2"][:, 0].any()
    with pytest.warns(UserWarning, match='no gradient reaches the first token of h_L.*tokens="mean"'):
        recorder.save(tmp_path / "gpt2.safetensors", method="dfa")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.save(tmp_path / "gpt2.safetensors", method="dfa", tokens="mean")


def test_a_transformer_whose_block_is_used_again_is_refused_with_the_remedy():
    transformers = pytest.importorskip("transformers")
    config = transformers.AlbertConfig(vocab_size=50, embedding_size=8, num_labels=3, **SIZES)
    net = transformers.AlbertForSequenceClassification(config)
    x, y = sentences()
    group = net.albert.encoder.albert_layer_groups[0]
    with pytest.raises(ValueError, match=r"AlbertLayerGroup\) was called 2 times.*nn.Identity of its own"):
        Recorder(net, [group], forward=lambda net, x, y: net(x).logits).record(x, y)


# --------------------------------------------------------------------------------------------------- training frameworks
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*:UserWarning:lightning")
def test_a_lightning_module_is_recorded_between_its_training_steps_and_in_its_validation(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()
            self.recorders = {where: Recorder(self, self.net.layers()) for where in ("validation", "training")}

        def forward(self, x):
            return self.net(x)

        def training_step(self, rows, k):
            if k == 1 and self.recorders:
                self.recorders["training"].record(*rows)
            return cross_entropy(self(rows[0]), rows[1])

        def validation_step(self, rows, k):  # in inference mode
            if self.recorders:
                self.recorders["validation"].record(*rows)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    def fit(record):
        torch.manual_seed(3)
        module = Module()
        if not record:
            module.recorders.clear()
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*batch(32)), batch_size=16)
        lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                          enable_progress_bar=False, enable_model_summary=False,
                          default_root_dir=tmp_path).fit(module, loader, loader)
        return module

    module, plain = fit(True), fit(False)
    for recorder in module.recorders.values():
        assert recorder.batches and recorder.proved
    for recorded_, plain_ in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(recorded_, plain_)


def test_distributed_data_parallel_of_one_process_is_recorded_and_trains_on(tmp_path):
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_gloo_available():
        pytest.skip("this PyTorch has no gloo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        net = Net()
        parallel = nn.parallel.DistributedDataParallel(net)
        plain, wrapped = Recorder(net, net.layers()), Recorder(parallel, parallel.module.layers())
        plain.record(*batch())
        for _ in range(2):
            wrapped.record(*batch())
            x, y = batch(seed=2)
            cross_entropy(parallel(x), y).backward()
        assert wrapped.proved
        assert all(torch.equal(tensor, wrapped.tensors[name]) for name, tensor in plain.tensors.items())
        gradient = [p.grad.clone() for p in net.parameters()]
        net.zero_grad()
        for _ in range(2):
            cross_entropy(net(x), y).backward()
        for p, g in zip(net.parameters(), gradient, strict=True):
            torch.testing.assert_close(p.grad, g)
    finally:
        dist.destroy_process_group()


def test_recording_amid_gradient_accumulation_changes_no_step():
    def trained(record):
        torch.manual_seed(3)
        net = Net()
        optimizer = torch.optim.AdamW(net.parameters())
        recorder = Recorder(net, net.layers())
        for step in range(8):
            x, y = batch(seed=step)
            (cross_entropy(net(x), y) / 4).backward()
            if record:
                recorder.record(*batch(seed=99))
            if step % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
        return list(net.parameters()), recorder

    (with_, recorder), (without, _) = trained(True), trained(False)
    assert recorder.proved and recorder.batches == 8
    assert all(torch.equal(a, b) for a, b in zip(with_, without, strict=True))


# ------------------------------------------------------------------------------------------------------------ precision
def test_under_autocast_the_gradient_is_autocasts_and_the_proof_in_double_precision():
    net = Net()
    single, cast = Recorder(net, net.layers()), Recorder(net, net.layers())
    single.record(*batch())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast.record(*batch())
    assert single.proved and cast.proved and all(layer["relative_error"] < 1e-6 for layer in cast.proof)
    assert cast.tensors["batch.0.h.0"].dtype == torch.bfloat16
    g, near = (recorder.tensors["batch.0.g.0"].double() for recorder in (single, cast))
    assert 1e-4 < (g - near).norm() / g.norm() < 0.1


def test_autocast_inside_of_the_network_is_proved():
    class Cast(Net):
        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().forward(x)

    net = Cast()
    recorder = Recorder(net, net.layers())
    recorder.record(*batch())
    assert recorder.proved and recorder.tensors["batch.0.h.0"].dtype == torch.bfloat16


# ------------------------------------------------------------------------------------------------------------------ CNN
class Residual(nn.Module):
    """relu(h + f(h)), in place where `inplace`"""

    def __init__(self, channels, inplace):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(inplace),
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels))
        self.inplace = inplace

    def forward(self, h):
        f = self.convolutions(h)
        if self.inplace:
            f += h
            return f.relu_()
        return (f + h).relu()


@pytest.mark.parametrize("inplace", [False, True])
def test_a_cnn_with_batchnorm_is_recorded_in_eval_mode_and_keeps_its_statistics(inplace):
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace))
    net = nn.Sequential(stem, Residual(4, inplace), nn.Dropout2d(0.3), Residual(4, inplace), nn.AdaptiveAvgPool2d(1),
                        nn.Flatten(), nn.Linear(4, CLASSES))
    x, y = batch(inputs=(3, 8, 8))
    for _ in range(3):
        net(x)  # statistics that are not those of the batch
    before = {name: value.clone() for name, value in net.state_dict().items()}
    recorder = Recorder(net, [net[0], net[1], net[3]])
    recorder.record(x, y)
    assert recorder.proved and net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert recorder.tensors["batch.0.h.1"].shape == (16, 4 * 64)


# ---------------------------------------------------------------------------------------------------- recurrent, shared
def test_an_lstm_gives_the_outputs_of_its_tuple():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (nn.LSTM(i, 8, batch_first=True) for i in (INPUTS, 8))
            self.head = nn.Linear(8, CLASSES)

        def forward(self, x):
            return self.head(self.second(self.first(x)[0])[0][:, -1])

    x, y = batch(inputs=(5, INPUTS))
    net = Net()
    recorder = Recorder(net, [net.first, net.second])
    recorder.record(x, y)
    assert recorder.proved and recorder.tensors["batch.0.h.1"].shape == (16, 5, 8)


def test_a_shared_block_is_recorded_through_identities_of_its_own():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.block, self.head = nn.Linear(INPUTS, WIDTH), Block(), nn.Linear(WIDTH, CLASSES)
            self.taps = nn.ModuleList(nn.Identity() for _ in range(3))

        def forward(self, x):
            h = self.embed(x)
            for tap in self.taps:
                h = tap(gelu(self.block(h)))
            return self.head(h)

    net = Shared()
    recorder = Recorder(net, list(net.taps))
    recorder.record(*batch())
    assert recorder.proved and len(recorder.proof) == 3
