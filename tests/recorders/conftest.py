"""The package of python/, and what the program says of a recording."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _reproducible():
    torch.set_num_threads(1)  # small matrices
    torch.manual_seed(0)


@pytest.fixture
def audit():
    """Runs `fa-audit diagnose` on a trace and returns its verdict; skips where FA_AUDIT names no program."""
    program = os.environ.get("FA_AUDIT")
    if not program:
        pytest.skip("FA_AUDIT names no fa-audit program")

    def run(path):
        command = [program, "diagnose", str(path), "--json"]
        found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.splitlines()[0])

    return run
