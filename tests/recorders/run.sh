#!/usr/bin/env bash
# The recorders' tests in a virtual environment of their own, which is made where it is not there.
#
#     tests/recorders/run.sh                          PyTorch
#     tests/recorders/run.sh --short                  the same without types and rates
#     tests/recorders/run.sh transformers accelerate lightning   and the tests and examples that need these
#     tests/recorders/run.sh --all                    everything, as CI runs it: some two minutes, 6 GB
#
# VENV        where the environment lies or is made (default: target/recorders)
# FA_AUDIT    the program that reads the recordings (default: target/release/fa-audit, where that is built)
# Versions are those of requirements.txt. Where Python, a package index or PyTorch cannot be had, the last line says
# NOT RUN and why, and the exit code is 0; what fails later is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."

not_run() { printf '\n== recorders: NOT RUN, %s\n' "$*"; exit 0; }
pinned() { grep -E "^$1==" tests/recorders/requirements.txt || { echo "recorders: requirements.txt has no $1" >&2; exit 2; }; }

short=
asked=()
for word in "$@"; do
    case $word in
        --short) short=1 ;;
        --all) for package in accelerate biotorch flax jax lightning transformers; do asked+=("$(pinned "$package")"); done ;;
        *) asked+=("$(pinned "$word")") ;;
    esac
done

command -v python3 >/dev/null || not_run "no python3"
VENV=${VENV:-$PWD/target/recorders}
[ -x "$VENV/bin/python" ] || python3 -m venv "$VENV" || not_run "python3 makes no virtual environment (python3-venv?)"
python=$VENV/bin/python
# uv loads and unpacks side by side: forty seconds where pip takes four minutes.
"$python" -m pip install --quiet --disable-pip-version-check --retries 1 "$(pinned uv)" ||
    not_run "uv does not install: no package index is in reach, or it has none; what pip said stands above"
installs() { "$VENV/bin/uv" pip install --quiet --python "$python" --no-cache --system-certs "$@"; }

# On Linux the default wheel of PyTorch brings CUDA's libraries, 3 GB; PyTorch's own index has one without.
torch=$(pinned torch)
if ! "$python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '${torch#*==}')" 2>/dev/null; then
    UV_HTTP_TIMEOUT=10 UV_HTTP_RETRIES=0 installs --index-url https://download.pytorch.org/whl/cpu "$torch" 2>/dev/null ||
        installs "$torch" || not_run "PyTorch does not install; what uv said stands above"
fi
# BioTorch pins an old PyTorch, and runs with this one.
wanted=() alone=()
for package in numpy safetensors pytest ruff mypy; do wanted+=("$(pinned "$package")"); done
for package in "${asked[@]}"; do
    case $package in
        biotorch==*) alone+=("$package") ;;
        *) wanted+=("$package") ;;
    esac
done
installs "$torch" "${wanted[@]}"
[ -z "${alone[*]}" ] || installs --no-deps "${alone[@]}"

if [ -z "${FA_AUDIT:-}" ] && [ -x target/release/fa-audit ]; then FA_AUDIT=$PWD/target/release/fa-audit; fi
export FA_AUDIT=${FA_AUDIT:-} PYTHONPYCACHEPREFIX=$VENV/pycache

# Rules and types as pyproject.toml has them.
"$python" -m ruff check --no-cache python tests/recorders tests/wheel tests/golden/make_update_rules.py
tests=(tests/recorders)
if [ -n "$short" ]; then
    tests+=(--ignore tests/recorders/test_proof_rates.py)
else
    mypy=(python/fa_audit/{__init__,_program,_training,lightning,torch,transformers}.py)
    if "$python" -c "import jax" 2>/dev/null; then mypy+=(python/fa_audit/jax.py); fi
    "$python" -m mypy --cache-dir=/dev/null "${mypy[@]}"
fi
(cd tests/golden && "$python" make_update_rules.py --check)
"$python" -m pytest -q -p no:cacheprovider -rs "${tests[@]}"
