#!/usr/bin/env bash
# Builds the wheel, installs it into a fresh environment, and audits a training there: in plain PyTorch, under Lightning and
# under Hugging Face's Trainer. From `pip install` to the first verdict at most 60 seconds, 8 lines added, 40 MB.
#
# VENV   the environment that has PyTorch and the frameworks, as tests/recorders/run.sh makes it (default:
#        target/recorders). The fresh one sees its packages, so that nothing is downloaded twice.
# Where there is no such environment, or maturin cannot be had, the last line says NOT RUN and why, and the exit code is 0.
set -euo pipefail
cd "$(dirname "$0")/../.."

not_run() { printf '\n== wheel: NOT RUN, %s\n' "$*"; exit 0; }
failed() { printf '\n== wheel: %s\n' "$*" >&2; exit 1; }
VENV=$(realpath "${VENV:-$PWD/target/recorders}")
[ -x "$VENV/bin/python" ] && "$VENV/bin/python" -c "import torch, safetensors" 2>/dev/null ||
    not_run "$VENV has no PyTorch (tests/recorders/run.sh makes it)"
if [ ! -x "$VENV/bin/maturin" ]; then
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 \
        "$(grep '^maturin==' tests/recorders/requirements.txt)" || not_run "maturin does not install; what pip said stands above"
fi

MATURIN=$VENV/bin/maturin .ci/wheel
wheel=$(realpath target/wheel/*.whl)
bytes=$(stat -c %s "$wheel")
[ "$bytes" -le 40000000 ] || failed "$bytes bytes, over 40 MB"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp tests/wheel/{dfa,train_*}.py "$place"
unset FA_AUDIT PYTHONPATH
"$VENV/bin/python" -m venv "$place/venv"
packages() { "$1/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))"; }
packages "$VENV" >"$(packages "$place/venv")/frameworks.pth"
python=$place/venv/bin/python
cd "$place"

start=$(date +%s)
"$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps "$wheel"
"$python" train_pytorch.py | tee said
seconds=$(($(date +%s) - start))
# Said, and no failure: what else the machine does is nobody's mistake.
[ "$seconds" -le 60 ] || printf '\n== wheel: %s s to the first verdict, over the 60 that are wanted\n' "$seconds"
tail -1 said | grep -Eq '^dfa, seed 42: (trustworthy|walked back): [A-Z]' || failed "the last line is no verdict"
for script in train_*.py; do
    lines=$(grep -c '# +$' "$script")
    [ "$lines" -le 8 ] || failed "$script: $lines lines added, over 8"
done
# Without them the training is what it was.
sed '/# +$/d' train_pytorch.py >plain.py
[ "$("$python" plain.py)" = "$(grep '^accuracy' said)" ] || failed "the added lines change the training"

"$python" - <<'PYTHON'
import pathlib, subprocess, sys
import fa_audit
inside = pathlib.Path(sys.prefix)
package = pathlib.Path(fa_audit.__file__).parent
assert inside in package.parents and inside in pathlib.Path(fa_audit.program()).parents, (package, fa_audit.program())
for name in ("torch", "jax"):
    printed = subprocess.run([fa_audit.program(), "recorder", name], check=True, capture_output=True).stdout
    assert printed == (package / f"{name}.py").read_bytes(), f"recorder {name} is not the package's"
for file in ("man/man1/fa-audit.1", "man/man1/fa-audit-train.1", "bash-completion/completions/fa-audit",
             "zsh/site-functions/_fa-audit", "fish/vendor_completions.d/fa-audit.fish"):
    assert (inside / "share" / file).stat().st_size > 500, file
PYTHON
printf '\n== wheel: %s bytes; %s s from pip install to the verdict on PyTorch\n' "$bytes" "$seconds"

for framework in lightning transformers; do
    if ! "$python" -c "import $framework" 2>/dev/null; then
        printf '\n== wheel under %s: NOT RUN, it is not in %s\n' "$framework" "$VENV"
        continue
    fi
    start=$(date +%s)
    "$python" "train_$framework.py" >said 2>errors || { cat said errors; failed "train_$framework.py failed"; }
    tail -1 said | grep -Eq '^dfa: (trustworthy|walked back): [A-Z]' || { cat said; failed "$framework: the last line is no verdict"; }
    epochs=$(wc -l <fa-audit/history.jsonl)
    printf '\n== wheel under %s: %s s, %s evaluations measured\n' "$framework" "$(($(date +%s) - start))" "$epochs"
    tail -2 said
done

cd "$OLDPWD"
if "$VENV/bin/python" -c "import yaml" 2>/dev/null; then
    "$VENV/bin/python" tests/wheel/action.py "$wheel"
else
    printf '\n== action.yml: NOT RUN, PyYAML is not in %s\n' "$VENV"
fi
