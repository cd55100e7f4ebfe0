#!/usr/bin/env bash
# The recorders' tests in a virtual environment of their own: plain PyTorch, and what else is asked for.
#
#     tests/recorders/run.sh                                      PyTorch
#     tests/recorders/run.sh transformers lightning jax biotorch  and the tests and examples that need these
#
# VENV        where the environment lies or is made, outside of the repository (default: in the user's cache)
# FA_AUDIT    the program that reads the recordings (default: target/release/fa-audit, where that is built)
# Skips, with a line that says why, where Python or a package index cannot be reached; fails where a test does.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() { echo "recorders: skipped: $*"; exit 0; }

command -v python3 >/dev/null || skip "no python3"
VENV=${VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/fa-audit/recorders}
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV" || skip "python3 makes no virtual environment (python3-venv?)"
python=$VENV/bin/python

# On Linux the default wheel of PyTorch brings CUDA's libraries, 3 GB; PyTorch's own index has one without.
installed() { "$python" -c "import $1" 2>/dev/null; }
if ! installed torch; then
    "$python" -m pip install --quiet --index-url https://download.pytorch.org/whl/cpu --retries 0 --timeout 10 torch 2>/dev/null ||
        "$python" -m pip install --quiet --retries 1 torch || skip "PyTorch does not install; why, pip says above"
fi
wanted=(numpy safetensors pytest ruff mypy)
for package in "$@"; do
    case $package in
        biotorch) installed biotorch || "$python" -m pip install --quiet --no-deps biotorch || skip "biotorch does not install; why, pip says above" ;;
        *) wanted+=("$package") ;;
    esac
done
"$python" -m pip install --quiet --retries 1 "${wanted[@]}" || skip "${wanted[*]} do not install; why, pip says above"

if [ -z "${FA_AUDIT:-}" ] && [ -x target/release/fa-audit ]; then FA_AUDIT=$PWD/target/release/fa-audit; fi
export FA_AUDIT=${FA_AUDIT:-} PYTHONDONTWRITEBYTECODE=1

"$python" -m ruff check --no-cache --config tests/recorders/ruff.toml data/recorders tests/recorders tests/golden/make_update_rules.py
mypy=(data/recorders/pytorch.py)
if installed jax; then mypy+=(data/recorders/jax_recorder.py); fi
"$python" -m mypy --strict --cache-dir=/dev/null "${mypy[@]}"
"$python" -m pytest -q -p no:cacheprovider -rs tests/recorders
(cd tests/golden && "$python" make_update_rules.py --check)
