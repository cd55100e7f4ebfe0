#!/usr/bin/env bash
# The recorders' tests in a virtual environment of their own, which is made where it is not there.
#
#     tests/recorders/run.sh                                      PyTorch
#     tests/recorders/run.sh --short                              the same in a minute or two: neither types nor rates
#     tests/recorders/run.sh transformers lightning jax biotorch  and the tests and examples that need these
#
# VENV        where the environment lies or is made (default: target/recorders)
# FA_AUDIT    the program that reads the recordings (default: target/release/fa-audit, where that is built)
# Versions are those of requirements.txt. Skips, with a line that says why, where Python or a package index cannot be
# reached; fails where a test does.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "recorders: skipped: $*"; exit 0; }
pinned() { grep -E "^$1==" tests/recorders/requirements.txt || { echo "recorders: requirements.txt has no $1" >&2; exit 2; }; }

short=
if [ "${1:-}" = --short ]; then short=1; shift; fi
asked=()
for package in "$@"; do asked+=("$(pinned "$package")"); done

command -v python3 >/dev/null || skip "no python3"
VENV=${VENV:-$PWD/target/recorders}
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV" || skip "python3 makes no virtual environment (python3-venv?)"
python=$VENV/bin/python
installs() { "$python" -m pip install --quiet --disable-pip-version-check --retries 1 "$@"; }

# On Linux the default wheel of PyTorch brings CUDA's libraries, 3 GB; PyTorch's own index has one without.
torch=$(pinned torch)
if ! "$python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '${torch#*==}')" 2>/dev/null; then
    installs --index-url https://download.pytorch.org/whl/cpu --timeout 10 "$torch" 2>/dev/null ||
        installs "$torch" || skip "PyTorch does not install; why, pip says above"
fi
wanted=()
for package in numpy safetensors pytest ruff mypy; do wanted+=("$(pinned "$package")"); done
installs "${wanted[@]}" || skip "${wanted[*]} do not install; why, pip says above"
for package in "${asked[@]}"; do
    case $package in
        biotorch==*) installs --no-deps "$package" ;; # it pins an old PyTorch, and runs with this one
        *) installs "$package" ;;
    esac || skip "$package does not install; why, pip says above"
done

if [ -z "${FA_AUDIT:-}" ] && [ -x target/release/fa-audit ]; then FA_AUDIT=$PWD/target/release/fa-audit; fi
export FA_AUDIT=${FA_AUDIT:-} PYTHONDONTWRITEBYTECODE=1

"$python" -m ruff check --no-cache --config tests/recorders/ruff.toml data/recorders tests/recorders tests/golden/make_update_rules.py
tests=(tests/recorders)
if [ -n "$short" ]; then
    tests+=(--ignore tests/recorders/test_proof_rates.py)
else
    mypy=(data/recorders/pytorch.py)
    if "$python" -c "import jax" 2>/dev/null; then mypy+=(data/recorders/jax_recorder.py); fi
    "$python" -m mypy --strict --cache-dir=/dev/null "${mypy[@]}"
fi
"$python" -m pytest -q -p no:cacheprovider -rs "${tests[@]}"
(cd tests/golden && "$python" make_update_rules.py --check)
