"""The examples of python/examples run as their docstrings say, and what they write is a proved trace."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors import safe_open

from conftest import ROOT

SMALL = ["--width", "8", "--depth", "3", "--epochs", "2", "--batches", "4", "--batch", "12"]


def run(example, out):
    command = [sys.executable, f"{example}.py", *SMALL, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT / "python" / "examples",
                          env=environment)
    assert done.stdout.splitlines()[-1] == f"fa-audit diagnose {out} --controls"


def test_the_example_in_plain_pytorch_writes_a_proved_trace(tmp_path):
    run("example_pytorch", tmp_path / "t.safetensors")
    with safe_open(tmp_path / "t.safetensors", "np") as file:
        said = file.metadata()
    assert said["reference_proved"] == "true" and said["credit_trains"] == "[0, 1, 2]"
    assert len(json.loads(said["reference_check"])) == 4


def test_the_example_in_biotorch_writes_a_proved_trace_whose_last_credit_trains(tmp_path):
    pytest.importorskip("biotorch")
    run("example_biotorch", tmp_path / "t.npz")
    file = np.load(tmp_path / "t.npz")
    assert str(file["reference_proved"]) == "true" and str(file["credit_trains"]) == "[1, 2, 3]"
    # The credit is no gradient: a recording that took the one for the other would show it here.
    for l in range(4):
        assert not np.allclose(file[f"batch.0.a.{l}"], file[f"batch.0.g.{l}"], rtol=0.1)
