"""A residual MLP trained with DFA in plain PyTorch, its state dict, and what PyTorch measures on it:
the numbers that `fa-audit import` and `diagnose` are held against.

    python tests/import/resmlp.py cifar DATA_DIR OUT [--epochs 3] [--width 256] [--depth 4] [--device cpu]
    python tests/import/resmlp.py compare OUT/expected.json OUT/verdict.json
    python tests/import/resmlp.py golden RECORDS      # makes tests/import/golden/

`cifar` writes OUT/model.pt, OUT/net.toml and OUT/expected.json; then

    fa-audit import OUT/model.pt --config OUT/net.toml --data-dir DATA_DIR --out OUT/checkpoint.mpk
    fa-audit diagnose OUT/checkpoint.mpk

and `compare` prints both columns and fails where they differ by more than 1e-4, relatively.

`golden` trains a tiny one on the synthetic data, whose records (as in CIFAR's files) a test writes:

    SYNTHETIC_RECORDS=RECORDS cargo test --test cli synthetic_records -- --ignored

Nothing here uses fa-audit's code. Definitions: docstrings of `measure` and `train`.
"""
import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CLASSES = 10
RMS_EPS = 1e-6


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, width)
        self.linear2 = nn.Linear(width, width)
        nn.init.normal_(self.linear2.weight, std=0.01)
        nn.init.zeros_(self.linear2.bias)

    def forward(self, h):
        """The branch alone: the caller adds the skip."""
        return self.linear2(F.gelu(self.linear1(self.norm(h))))


class Readout(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, h):
        return self.head(self.norm(h))


class ResMlp(nn.Module):
    """Its state dict has fa-audit's names as they are, the feedback matrices included."""

    def __init__(self, width, depth):
        super().__init__()
        self.embed = nn.Linear(3072, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.readout = Readout(width)
        self.feedback = nn.ParameterList(
            nn.Parameter(torch.randn(width, CLASSES) / math.sqrt(CLASSES), requires_grad=False) for _ in range(depth))

    def hidden(self, x):
        """h_0 ... h_L"""
        states = [self.embed(x)]
        for block in self.blocks:
            states.append(states[-1] + block(states[-1]))
        return states


def normalised(a):
    return a / (a.square().mean(-1, keepdim=True).sqrt() + RMS_EPS)


def train(model, images, labels, epochs, batch=128, lr=1e-3):
    """DFA: block l minimises mean_n <f_l(h_l), a~_l>, a_l = B_l (softmax - onehot), the embedding <h_0, a~_0>, the
    readout its cross-entropy; h_l and a~_l are held. AdamW, cosine schedule, no augmentation."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        hits = 0
        for index in torch.randperm(len(labels), device=labels.device).split(batch):
            x, y = images[index], labels[index]
            with torch.no_grad():
                states = model.hidden(x)
                logits = model.readout(states[-1])
                error = logits.softmax(-1) - F.one_hot(y, CLASSES)
                credit = [normalised(error @ b.T) for b in model.feedback]
                hits += int((logits.argmax(-1) == y).sum())
            loss = (model.embed(x) * credit[0]).sum(-1).mean() + F.cross_entropy(model.readout(states[-1]), y)
            for block, h, a in zip(model.blocks, states, credit):
                loss = loss + (block(h) * a).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: train accuracy {hits / len(labels):.4f}", flush=True)


def measure(model, images, labels, rule="dfa", fa=(), batches=10, batch=128):
    """On the first `batches` batches of the test images, in the model's own precision:

    hidden_norms[l]    mean over samples of |h_l|
    gradient_norms[l]  median over samples of |g_l|, g_l = dL/dh_l, L the batch-mean cross-entropy
    cosine[l]          mean over samples of cos(a_l, g_l): for dfa a_l = B_l e, a_L with the last B again; for fa
                       a_L = a_{L-1} = the readout's gradient at h_L, a_l = B_l a_{l+1}
    accuracy           on all test images
    """
    norms, gradients, cosines = [], [], []
    for k in range(batches):
        x, y = images[k * batch:(k + 1) * batch], labels[k * batch:(k + 1) * batch]
        states = model.hidden(x)
        logits = model.readout(states[-1])
        grads = torch.autograd.grad(F.cross_entropy(logits, y), states)
        error = (logits.softmax(-1) - F.one_hot(y, CLASSES)).detach()
        if rule == "dfa":
            credit = [error @ b.T for b in model.feedback]
            credit.append(credit[-1])
        else:
            credit = [grads[-1], grads[-1]]
            for b in reversed(fa):
                credit.insert(0, credit[0] @ b.T)
        norms.append(torch.stack([h.detach().norm(dim=-1) for h in states]))
        gradients.append(torch.stack([g.norm(dim=-1) for g in grads]))
        cosines.append(torch.stack([(a * g).sum(-1) / (a.norm(dim=-1) * g.norm(dim=-1)) for a, g in zip(credit, grads)]))
    with torch.no_grad():
        hits = sum(int((model.readout(model.hidden(x)[-1]).argmax(-1) == y).sum())
                   for x, y in zip(images.split(500), labels.split(500)))
    # NumPy's median is the mean of the two middle values; torch's is the lower one.
    gradients = torch.cat(gradients, 1).double().cpu().numpy()
    return {"hidden_norms": torch.cat(norms, 1).double().mean(1).tolist(),
            "gradient_norms": np.median(gradients, axis=1).tolist(),
            "cosine": torch.cat(cosines, 1).double().mean(1).tolist(), "accuracy": hits / len(labels)}


def in_both(model, images, labels, **how):
    """PyTorch's numbers in float32, and in float64 from the same weights."""
    single = measure(model, images, labels, **how)
    double = measure(model.double(), images.double(), labels, **{k: [b.double() for b in v] if k == "fa" else v for k, v in how.items()})
    model.float()
    return {"float32": single, "float64": double}


def records(path, mean, std, device="cpu"):
    """Images [N, 3072], channel planes row by row, and labels of a file of CIFAR-10's records."""
    raw = np.fromfile(path, dtype=np.uint8).reshape(-1, 3073)
    planes = torch.tensor(raw[:, 1:]).reshape(-1, 3, 1024).float() / 255
    planes = (planes - torch.tensor(mean).reshape(1, 3, 1)) / torch.tensor(std).reshape(1, 3, 1)
    return planes.reshape(-1, 3072).to(device), torch.tensor(raw[:, 0].astype(np.int64)).to(device)


def cifar(args):
    mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
    folder = args.data_dir / "cifar-10-batches-bin"
    folder = folder if folder.exists() else args.data_dir
    parts = [records(folder / f"data_batch_{i}.bin", mean, std, args.device) for i in range(1, 6)]
    images, labels = (torch.cat(p) for p in zip(*parts))
    torch.manual_seed(7)
    model = ResMlp(args.width, args.depth).to(args.device)
    train(model, images, labels, args.epochs)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), args.out / "model.pt")
    (args.out / "net.toml").write_text(f'method = "dfa"\ndataset = "cifar10"\nwidth = {args.width}\ndepth = {args.depth}\n'
                                       f"augment = false\nepochs = {args.epochs}\nseed = 7\n")
    model = model.cpu()
    expected = in_both(model, *records(folder / "test_batch.bin", mean, std))
    (args.out / "expected.json").write_text(json.dumps({"torch": torch.__version__, **expected}, indent=1))


def compare(args):
    expected, verdict = json.loads(args.expected.read_text()), json.loads(args.verdict.read_text())
    diagnostics = verdict["diagnostics"]
    ours = {"hidden_norms": diagnostics["growth"]["hidden_norms"], "gradient_norms": diagnostics["reference"]["per_layer"],
            "cosine": verdict["cosine"]["per_layer"], "accuracy": [verdict["accuracy"]]}
    print(f"{'':18} {'PyTorch f32':>15} {'PyTorch f64':>15} {'fa-audit':>15} {'to f32':>8} {'to f64':>8}")
    worst = 0.0
    for name, values in ours.items():
        single, double = (np.atleast_1d(expected[p][name]) for p in ("float32", "float64"))
        assert len(values) == len(single), name
        for l, (a, b, c) in enumerate(zip(single, double, values)):
            off = [abs(c - v) / abs(v) for v in (a, b)]
            worst = max(worst, *off)
            print(f"{name + f'[{l}]':18} {a:15.8e} {b:15.8e} {c:15.8e} {off[0]:8.1e} {off[1]:8.1e}")
    print(f"largest relative difference: {worst:.1e}")
    raise SystemExit(int(worst > 1e-4))


def golden(args):
    """A tiny network in three files: model.pt as one might find it (other names, feedback transposed, some of it as
    views, beside other things), model.safetensors with fa-audit's names and half-precision where that is exact, and
    expected.json."""
    from safetensors.torch import save_file

    width, depth = 6, 3
    mean, std = [0.5] * 3, [0.157] * 3
    train_set = records(args.records / "train.bin", mean, std)
    test_set = records(args.records / "test.bin", mean, std)
    torch.manual_seed(7)
    model = ResMlp(width, depth)
    fa = [torch.randn(width, width) / math.sqrt(width) for _ in range(depth - 1)]
    train(model, *train_set, epochs=3, batch=64)
    with torch.no_grad():
        model.embed.weight.copy_(model.embed.weight.half().float())

    out = Path(__file__).parent / "golden"
    out.mkdir(exist_ok=True)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    stored = {k: v.half() if k == "embed.weight" else v for k, v in state.items()}
    save_file(stored | {f"fa.{l}": b for l, b in enumerate(fa)}, out / "model.safetensors")
    renamed = {k.replace("embed", "stem").replace("blocks", "layers").replace("linear", "fc").replace("readout.norm", "out_ln")
               .replace("readout.head", "out_head"): v for k, v in state.items() if not k.startswith("feedback")}
    stacked = torch.stack(list(model.feedback)).mT  # one storage, [depth, classes, width], strided
    torch.save({"epoch": 3, "model": renamed, "dfa": [b.detach() for b in stacked],
                "fa": [b.T.contiguous() for b in fa], "steps": torch.arange(3)}, out / "model.pt")
    how = {"batches": 8, "batch": 32}
    expected = {"made_by": "python tests/import/resmlp.py golden", "torch": torch.__version__,
                "dfa": in_both(model, *test_set, **how), "fa": in_both(model, *test_set, rule="fa", fa=fa, **how)}
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for file in sorted(out.iterdir()):
        print(file, file.stat().st_size)
    for rule in ("dfa", "fa"):
        both = [np.concatenate([expected[rule][p][n] for n in ("hidden_norms", "gradient_norms", "cosine")])
                for p in ("float32", "float64")]
        print(f"{rule}: float32 from float64, relative: {np.abs(both[0] / both[1] - 1).max():.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    real = commands.add_parser("cifar")
    real.add_argument("data_dir", type=Path)
    real.add_argument("out", type=Path)
    for name, value in (("--epochs", 3), ("--width", 256), ("--depth", 4)):
        real.add_argument(name, type=int, default=value)
    real.add_argument("--device", default="cpu")
    real.set_defaults(run=cifar)
    versus = commands.add_parser("compare")
    versus.add_argument("expected", type=Path)
    versus.add_argument("verdict", type=Path)
    versus.set_defaults(run=compare)
    small = commands.add_parser("golden")
    small.add_argument("records", type=Path)
    small.set_defaults(run=golden)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
