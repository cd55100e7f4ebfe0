"""What an audit of the two golden traces must find, computed a second time: NumPy in float64, from the
definitions of arXiv:2606.21126 and Roy & Vetterli 2007, sharing nothing with the program.

    python tests/golden/make_traces.py              numpy and safetensors; rewrites traces.json

The traces come from python/examples, with the package fa_audit of python/ installed:

    cd python/examples
    python example_pytorch.py --width 8 --depth 3 --epochs 2 --batches 8 --batch 12 \
        --out ../../tests/golden/pytorch.safetensors
    python example_biotorch.py --width 8 --depth 3 --epochs 2 --batches 8 --batch 10 \
        --out ../../tests/golden/biotorch.npz

Their bits depend on the version of PyTorch (here 2.15); what is found in them must not.
"""

import itertools
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

HERE = Path(__file__).parent


def load(path):
    """Arrays by name, and the metadata."""
    if path.suffix == ".npz":
        file = np.load(path)
        arrays = {name: file[name] for name in file.files if name.startswith("batch.")}
        return arrays, {name: str(file[name]) for name in file.files if name not in arrays}
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def norms(rows):
    return np.linalg.norm(rows, axis=1)


def cosines(a, g, clamp):
    return np.einsum("ij,ij->i", a, g) / (np.maximum(norms(a), clamp) * np.maximum(norms(g), clamp))


def ranks(name, matrix):
    s = np.linalg.svd(matrix, compute_uv=False)
    p = s[s > 0] / s.sum()
    return {
        "matrix": name, "rows": matrix.shape[0], "cols": matrix.shape[1],
        "effective": np.exp(-np.sum(p * np.log(p))),
        "stable": np.linalg.norm(matrix, "fro") ** 2 / np.linalg.norm(matrix, 2) ** 2,
        "participation": np.sum(s**2) ** 2 / np.sum(s**4),
    }


def pairwise(vectors):
    return np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b)
                    for a, b in itertools.combinations(vectors, 2)])


def expected(path):
    arrays, said = load(path)
    batches = 1 + max(int(name.split(".")[1]) for name in arrays)
    layers = 1 + max(int(name.split(".")[3]) for name in arrays if ".h." in name)

    def field(name, l):  # one array for each batch
        return [arrays[f"batch.{k}.{name}.{l}"].astype(np.float64) for k in range(batches)]

    hidden = [field("h", l) for l in range(layers)]
    gradient = [field("g", l) for l in range(layers)]
    credit = [field("a", l) for l in range(layers)]
    n = len(hidden[0][0])
    assert said["loss_reduction"] == "mean"

    hidden_norms = [np.mean(norms(np.concatenate(h))) for h in hidden]
    per_block = [b / a for a, b in zip(hidden_norms, hidden_norms[1:])]

    lengths = [norms(np.concatenate(g)) for g in gradient]
    medians = [np.median(v) for v in lengths]

    middle = gradient[(layers - 1) // 2]
    averages = [g.mean(axis=0) for g in middle]
    directions = [(g / norms(g)[:, None]).mean(axis=0) for g in middle]

    per_sample = [cosines(np.concatenate(a), np.concatenate(g), 1e-30) for a, g in zip(credit, gradient)]
    clamped = [cosines(np.concatenate(a), np.concatenate(g), 1e-8) for a, g in zip(credit, gradient)]
    under = [np.mean((norms(np.concatenate(a)) < 1e-8) | (norms(np.concatenate(g)) < 1e-8))
             for a, g in zip(credit, gradient)]
    means = [np.mean(c) for c in per_sample]
    blocks = json.loads(said.get("credit_trains", json.dumps(list(range(layers - 1)))))
    trained = [means[l] for l in blocks]

    def aggregate(over_layers, over_samples):
        of = {"mean": np.mean, "median": np.median}
        value = of[over_layers]([of[over_samples](per_sample[l]) for l in blocks])
        return {"over_layers": over_layers, "over_samples": over_samples, "value": value}

    aggregates = [aggregate(*pair) for pair in itertools.product(["mean", "median"], repeat=2)]

    def common(h):  # one layer: energy of the mean, and the mean over pairs of samples, by batch
        return {
            "mean_energy": np.mean([len(b) * np.sum(b.mean(0) ** 2) / np.sum(b**2) for b in h]),
            "pairwise_cosine": np.mean([pairwise(list(b)) for b in h]),
        }

    stacked = [(f"{name}_{l}", np.concatenate(of[l]))
               for l in range(layers) for name, of in (("a", credit), ("g", gradient))]
    accuracy, frozen = float(said["accuracy"]), float(said["frozen_accuracy"])
    return {
        "accuracy": accuracy,
        "diagnostics": {
            "growth": {"value": max(per_block), "per_block": per_block, "hidden_norms": hidden_norms},
            "reference": {
                "value": medians[-1], "per_layer": medians, "per_layer_mean": [np.mean(v) for v in lengths],
                "batch_size": n, "loss": "mean", "per_sample_loss": medians[-1] * n,
                "at_batch_128": medians[-1] * n / 128,
                "under_floor": [np.mean(v < 1e-7) for v in lengths],
                "under_clamp": [np.mean(v < 1e-8) for v in lengths],
            },
            "stability": {"value": pairwise(averages), "normalised": pairwise(directions),
                          "layer": (layers - 1) // 2, "batches": batches},
            "depth_utility": {"value": 100 * (accuracy - frozen), "frozen_accuracy": frozen},
        },
        "cosine": {
            "per_layer": means, "std": [np.std(c, ddof=1) for c in per_sample],
            "share_positive": [np.mean(c > 0) for c in per_sample], "n": [len(c) for c in per_sample],
            "under_floor": [0] * layers, "aggregate": np.mean(trained),
        },
        "controls": {
            "common_mode": {"per_layer": [common(h) for h in hidden]},
            "clamp": {"clamp": 1e-8, "per_layer": [
                {"under": u, "clamped": np.mean(c), "unclamped": m}
                for u, c, m in zip(under, clamped, means)]},
            "aggregation": {
                "values": aggregates,
                "lowest": min(a["value"] for a in aggregates),
                "highest": max(a["value"] for a in aggregates),
                "deep": np.mean(means[1:-1]),
                "misrepresentation": np.mean(trained) - np.median(trained),
            },
            "rank": {"matrices": [ranks(name, matrix) for name, matrix in stacked]},
        },
    }


if __name__ == "__main__":
    names = ["pytorch.safetensors", "biotorch.npz"]
    found = {name: expected(HERE / name) for name in names}
    (HERE / "traces.json").write_text(json.dumps(found, indent=1, default=lambda v: v.item()) + "\n")
