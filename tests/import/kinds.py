"""Tensors that are no plain ones, as torch.save writes them: python kinds.py golden/kinds.pt

Made with PyTorch 2.15.0 and NumPy 2; prints the numbers that src/import/torch/tests.rs expects.
"""

import collections
import sys

import numpy
import torch


class Settings(dict):
    """A kind of dict: pickled by its class, its items follow."""


w = torch.tensor([[0.0, 0.25, -0.5], [1.5, -2.25, 448.0]])
saved = {
    "of_a_kind": Settings(w=w),
    "default": collections.defaultdict(list, {"w": w}),
    "e4m3": w.to(torch.float8_e4m3fn),
    "e5m2": w.to(torch.float8_e5m2),
    "qint8": torch.quantize_per_tensor(w, 0.25, 3, torch.qint8),
    "quint8": torch.quantize_per_tensor(w, 0.25, 3, torch.quint8),
    "by_channel": torch.quantize_per_channel(
        w, torch.tensor([0.25, 4.0]), torch.tensor([0, 1]), 0, torch.qint8
    ),
    "rows": w.numpy(),
    "columns": numpy.asfortranarray(w.double().numpy()),
    "half": w.numpy().astype(numpy.float16),
    "whole": numpy.arange(3),
    "module": torch.nn.Linear(3, 2),
}
torch.save(saved, sys.argv[1])
for name in ["e4m3", "e5m2"]:
    print(name, saved[name].float().tolist())
for name in ["qint8", "quint8"]:
    print(name, saved[name].dequantize().tolist())
