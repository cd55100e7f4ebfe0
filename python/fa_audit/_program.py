"""The program `fa-audit`, which the wheel carries, and its verdict on a file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """What `fa-audit diagnose` says of one file."""

    verdict: str
    """trustworthy, walked back, inconclusive or baseline"""
    reasons: list[str]
    """A sentence each"""
    details: dict[str, Any]
    """verdict.json, schema `fa-audit/verdict/1`"""

    def __str__(self) -> str:
        """One line: what was judged, the verdict, and why."""
        run = self.details["run"]
        seed = "" if run.get("seed") is None else f", seed {run['seed']}"
        why = self.reasons[0] if self.reasons else next(iter(self.details.get("notes") or []), "")
        return f"{run.get('label') or run['method']}{seed}: {self.verdict}" + (f": {why}" if why else "")


def program() -> str:
    """The path of the program: the environment variable FA_AUDIT, where it is set; the one that was installed with this
    package; or the first on PATH. A FileNotFoundError says where it was looked for."""
    if named := os.environ.get("FA_AUDIT"):
        return named
    name = "fa-audit" + (sysconfig.get_config_var("EXE") or "")
    places = list(dict.fromkeys(_places()))
    for folder in places:
        if (file := folder / name).is_file():
            return str(file)
    if found := shutil.which(name):
        return found
    looked = ", ".join(map(str, places))
    raise FileNotFoundError(f"no program {name} in {looked}, nor on PATH: pip install fa-audit brings it, and the "
                            f"environment variable FA_AUDIT may name one")


def _places() -> Iterator[Path]:
    """Where pip puts programs: of the environment, of the user, and beside a package of `pip install --target`."""
    yield Path(sysconfig.get_path("scripts"))
    yield Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user")))
    yield Path(__file__).resolve().parents[1] / "bin"


def diagnose(path: str | os.PathLike[str], *, frozen: str | os.PathLike[str] | None = None, controls: bool = False,
             quiet: bool = False) -> Verdict:
    """The verdict on a trace (.safetensors or .npz) or checkpoint. `frozen` is the trace or checkpoint of the same network
    with frozen blocks, against which depth utility is measured; `controls` computes the controls, too. The table is
    printed unless `quiet`; `<stem>.verdict.json` and verdicts.csv are written beside the file. A ValueError has the
    program's words where the file cannot be judged."""
    path = Path(path)
    command = [program(), "diagnose", os.fspath(path)]
    if frozen is not None:
        command += ["--frozen", os.fspath(frozen)]
    if controls:
        command.append("--controls")
    environment = {**os.environ, "COLUMNS": str(shutil.get_terminal_size().columns)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8", env=environment)
    if done.returncode:
        raise ValueError(f"fa-audit diagnose {path} ended with {done.returncode}: {done.stderr.strip()}")
    if not quiet:
        print(done.stdout, end="")  # a notebook shows nothing of a program's own standard output
        print(done.stderr, end="", file=sys.stderr)
    written = path.parent / ("verdict.json" if path.name == "checkpoint.mpk" else f"{path.stem}.verdict.json")
    details = json.loads(written.read_text(encoding="utf-8"))
    return Verdict(details["verdict"], details["reasons"], details)
