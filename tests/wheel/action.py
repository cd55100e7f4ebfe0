"""Runs the steps of action.yml as a runner would: python action.py WHEEL, with PyYAML. The wheel is installed from its file."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TRACE = "tests/golden/pytorch.safetensors"


def act(place: Path, given: dict[str, str]) -> tuple[int, str, str]:
    """The exit code of the first step that fails, the summary, the outputs."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: given.get(name, spec.get("default", "")) for name, spec in action["inputs"].items()}
    assert set(given) <= set(inputs)
    files = {name: place / name.lower() for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    for file in files.values():
        file.write_text("")
    code = 0
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        environment = {name: value.replace("${{ inputs.", "").replace(" }}", "") for name, value in step["env"].items()}
        environment = {name: inputs[value] for name, value in environment.items()}
        script = place / "step.sh"
        script.write_text(step["run"])
        # As GitHub calls bash.
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", script], check=False, cwd=ROOT,
                              env={**os.environ, **environment, "RUNNER_TEMP": str(place), **{k: str(v) for k, v in files.items()}},
                              capture_output=True, text=True)
        if code := done.returncode:
            break
    return code, files["GITHUB_STEP_SUMMARY"].read_text(), files["GITHUB_OUTPUT"].read_text()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        given = {"wheel": sys.argv[1], "python": sys.executable, "args": f"diagnose {TRACE} --out {place}/out"}
        code, summary, outputs = act(place, given)
        assert (code, outputs) == (0, "exit-code=0\n"), (code, outputs, summary)
        assert "### fa-audit diagnose" in summary and "dfa, seed 42: walked back" in summary, summary
        code, summary, outputs = act(place, {**given, "fail-on": "walked-back"})
        assert (code, outputs) == (3, "exit-code=3\n") and "**A verdict that `fail-on` names.**" in summary, summary
        code, summary, outputs = act(place, {**given, "args": "diagnose nothing.npz"})
        assert code == 1 and "**Ended with 1.**" in summary and "nothing.npz" in summary, (code, summary)
    print("action.yml: its steps ran here; on GitHub: NOT RUN")


if __name__ == "__main__":
    main()
