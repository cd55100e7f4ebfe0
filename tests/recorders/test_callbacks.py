"""The callbacks: a training is measured as its evaluations come, judged at its end, and is what it was without them."""

import json
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from networks import CLASSES, WIDTH, Net, batch, error

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*:UserWarning:lightning",
                                        "ignore:.*:UserWarning:transformers", "ignore:.*:FutureWarning")
KNOWN = {"method": "dfa", "arch": "mlp", "seed": 3, "frozen_accuracy": 0.9}


@pytest.fixture
def program(audit):
    """Skips where there is no program."""


def feedback():
    return [torch.randn(WIDTH, CLASSES, generator=torch.Generator().manual_seed(l)) for l in range(3)]


def credit(hidden, logits, y):
    return [error(logits, y) @ b.T for b in feedback()]


def history(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------------------- Lightning
def lightning_training(folder, callbacks, epochs=4):
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x):
            return self.net(x)

        def training_step(self, rows, k):
            return cross_entropy(self(rows[0]), rows[1])

        def validation_step(self, rows, k):
            self.log("val_acc", (self(rows[0]).argmax(1) == rows[1]).float().mean())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(3)
    module = Module()
    rows = torch.utils.data.TensorDataset(*batch(320))
    trainer = lightning.Trainer(max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False, callbacks=callbacks,
                                default_root_dir=folder)
    trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=32, shuffle=True),
                torch.utils.data.DataLoader(rows, batch_size=160))
    return module


def test_lightning_ends_with_the_verdict_and_trains_as_without(tmp_path, program, capsys):
    pytest.importorskip("lightning")
    from fa_audit.lightning import FaAudit

    audit = FaAudit(["net.embed", "net.blocks.*"], credit, every=2, out=tmp_path, accuracy="val_acc", **KNOWN)
    module = lightning_training(tmp_path, [audit])
    lines = history(tmp_path)
    assert [line["epoch"] for line in lines] == [0, 2, 4] and [line["step"] for line in lines] == [0, 20, 40]
    assert all(line["check"]["proved"] and len(line["cosine"]) == 3 for line in lines)
    # Of each batch of 160 the first 128; two of two are measured.
    assert lines[2]["samples"] == 256 and lines[2]["test_accuracy"] < 0.9
    assert audit.verdict.verdict == "walked back" and "under frozen blocks" in audit.verdict.reasons[0]
    assert audit.verdict.details["evaluation"]["batch_sizes"] == [128]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("dfa, seed 3: walked back: Depth utility: accuracy")
    plain = lightning_training(tmp_path, [])
    for measured, without in zip(module.parameters(), plain.parameters(), strict=True):
        assert torch.equal(measured, without)


def test_lightning_says_what_it_cannot_use(tmp_path, program):
    pytest.importorskip("lightning")
    from fa_audit.lightning import FaAudit

    with pytest.raises(ValueError, match=r"every = 0: expected a whole number from 1"):
        FaAudit(["net.embed"], every=0)
    with pytest.raises(ValueError, match="metod is no metadata of a trace: is method meant"):
        FaAudit(["net.embed"], metod="dfa")
    with pytest.raises(ValueError, match="no module is called net.block.*; there are net, net.embed"):
        lightning_training(tmp_path, [FaAudit(["net.embed", "net.block.*"], out=tmp_path)])
    with pytest.raises(ValueError, match="no metric of that name; there are val_acc"):
        lightning_training(tmp_path, [FaAudit(["net.embed", "net.blocks.*"], accuracy="acc", out=tmp_path)])
    with pytest.raises(ValueError, match="credit returns 1 tensors: expected 3"):
        lightning_training(tmp_path, [FaAudit(["net.embed", "net.blocks.*"], lambda h, z, y: h[:1], out=tmp_path)])
    with pytest.raises(ValueError, match=r"a validation batch is list: give split"):
        FaAudit(["net.embed"]).split([1, 2, 3])


# --------------------------------------------------------------------------------------------------- Hugging Face Trainer
def trainer_training(folder, callbacks, epochs=3):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x, labels=None):
            logits = self.net(x)
            loss = None if labels is None else cross_entropy(logits, labels)
            return transformers.modeling_outputs.SequenceClassifierOutput(loss=loss, logits=logits)

    torch.manual_seed(3)
    model = Model()
    x, y = batch(320)
    rows = [{"x": x[i], "labels": y[i]} for i in range(len(y))]
    args = transformers.TrainingArguments(
        output_dir=str(folder / "hf"), num_train_epochs=epochs, per_device_train_batch_size=32, learning_rate=0.01,
        per_device_eval_batch_size=160, eval_strategy="epoch", save_strategy="no", report_to=[], use_cpu=True,
        disable_tqdm=True, seed=5)
    trainer = transformers.Trainer(
        model, args, train_dataset=rows, eval_dataset=rows, callbacks=callbacks,
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())})
    trainer.train()
    return model


def test_hugging_faces_trainer_ends_with_the_verdict_and_trains_as_without(tmp_path, program, capsys):
    pytest.importorskip("transformers")
    from fa_audit.transformers import FaAudit

    audit = FaAudit(["net.embed", "net.blocks.*"], credit, out=tmp_path, accuracy="eval_accuracy", **KNOWN)
    model = trainer_training(tmp_path, [audit])
    lines = history(tmp_path)
    assert [line["epoch"] for line in lines] == [1, 2, 3] and [line["step"] for line in lines] == [10, 20, 30]
    assert all(line["check"]["proved"] and len(line["cosine"]) == 3 and line["samples"] == 256 for line in lines)
    assert audit.verdict.verdict == "walked back"
    assert capsys.readouterr().out.splitlines()[-1].startswith("dfa, seed 3: walked back: Depth utility: accuracy")
    plain = trainer_training(tmp_path, [])
    for measured, without in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(measured, without)


# ------------------------------------------------------------------------------------------------------------ the program
def test_a_program_that_is_not_there_and_a_file_that_cannot_be_judged_are_said(tmp_path, program, monkeypatch):
    import fa_audit

    (tmp_path / "t.npz").write_text("no archive")
    with pytest.raises(ValueError, match=r"fa-audit diagnose .*t.npz ended with \d: error: .*t.npz"):
        fa_audit.diagnose(tmp_path / "t.npz")
    monkeypatch.delenv("FA_AUDIT")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda *_, **__: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"no program fa-audit in .*, nor on PATH: pip install fa-audit"):
        fa_audit.diagnose(tmp_path / "t.npz")


def test_importing_the_package_imports_no_framework():
    import subprocess
    import sys

    from conftest import ROOT

    said = "import sys, fa_audit; sys.exit(any(name in sys.modules for name in ('torch', 'jax', 'numpy')))"
    subprocess.run([sys.executable, "-c", said], check=True, cwd=ROOT / "python")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import fa_audit.torch  # noqa: F401
