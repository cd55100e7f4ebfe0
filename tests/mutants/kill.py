"""Runs, for each mutant of schemata.py, the tests that reach it, and says which mutants none of them sees.

    CARGO_PROFILE_DEV_OPT_LEVEL=0 cargo test --no-run --lib --test cli    # in the copy, once
    python kill.py COPY lib '^(diagnostics|verdict|stats|trace|regress)'    # quick tests first, on every viable mutant
    python kill.py COPY lib     # all tests beside the code, on what survives
    python kill.py COPY cli     # those of the program, on what still does

Which tests reach which mutants is found out first, by running each test alone (COPY/reached-TARGET.json). A mutant
is caught by a test that fails, or runs four times as long as without it and half a minute more.
COPY/killed.json has what came of each, and a second call goes on from there.
"""

import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


# Seconds; a test that takes longer is left out.
PATIENCE = float(os.environ.get("PATIENCE", 15))
SEED = 13


def binary_of(folder, target):
    """The newest program of the target's tests."""
    stem = {"lib": "fa_audit"}.get(target, target)
    files = [f for f in (folder / "target/debug/deps").glob(f"{stem}-*") if f.suffix == "" and os.access(f, os.X_OK)]
    return max(files, key=lambda f: f.stat().st_mtime)


def run(folder, binary, words, variables, patience):
    """(whether it succeeded, seconds, output) of a test program."""
    begin = time.monotonic()
    environment = os.environ | {"RUST_MIN_STACK": "67108864", "RUST_BACKTRACE": "0"} | variables
    process = subprocess.Popen(
        [binary, *words], cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )
    try:
        output = process.communicate(timeout=patience)[0]
        good = process.returncode == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        output, good = process.communicate()[0] + "\ntimed out", False
    return good, time.monotonic() - begin, output


def reached(folder, target, binary, pattern):
    """The target's tests of such names, each with its time and the mutants that it reaches."""
    file = folder / f"reached-{target}.json"
    tests = json.loads(file.read_text()) if file.exists() else {}
    listed, ignored = (run(folder, binary, ["--list", *more], {}, 60)[2] for more in ([], ["--ignored"]))
    names = [line for line in listed.splitlines() if line.endswith(": test") and line not in ignored.splitlines()]
    names = [name.removesuffix(": test") for name in names if re.search(pattern, name)]

    def look(name):
        with tempfile.NamedTemporaryFile() as trace:
            good, seconds, _ = run(folder, binary, ["--exact", name], {"MUTANTS_REACHED": trace.name}, PATIENCE)
            numbers = sorted({int(n) for n in trace.read().split()})
        return name, {"good": good, "seconds": round(seconds, 2), "mutants": numbers}

    with ThreadPoolExecutor(2) as pool:
        for name, found in pool.map(look, [n for n in names if n not in tests]):
            tests[name] = found
            file.write_text(json.dumps(tests))
    print(f"{target}: {len(tests)} tests, {sum(bool(t['mutants']) for t in tests.values())} reach a mutant")
    for name in (n for n, t in tests.items() if not t["good"]):
        print(f"  fails without a mutant or takes too long, and is left out: {name}")
    return {name: tests[name] for name in names}


def killer(folder, binary, tests, number):
    """The test that catches the mutant, or nothing; and how many tests reach it."""
    own = sorted((t["seconds"], n) for n, t in tests.items() if number in t["mutants"] and t["good"] and t["seconds"] < PATIENCE)
    for part in own[:4], own[4:30], own[30:]:
        words = ["--test-threads=1", "--exact", *(name for _, name in part)]
        patience = 30 + 4 * sum(seconds for seconds, _ in part)
        good, _, output = run(folder, binary, words, {"MUTANT": str(number)}, patience) if part else (True, 0, "")
        if not good:
            failed = re.findall(r"^test (\S+) .*FAILED", output, re.M)
            return (failed or [output.strip().splitlines()[-1][:120]])[0], len(own)
    return None, len(own)


def interval(caught, n):
    """Wilson's 95 % interval of a share."""
    z, p = 1.959964, caught / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def main(folder, target, pattern=""):
    folder = Path(folder).resolve()
    binary = binary_of(folder, target)
    tests = reached(folder, target, binary, pattern)
    file = folder / "killed.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    mutants = json.loads((folder / "mutants.json").read_text())
    # Whenever it is stopped, what was done is a random sample.
    random.Random(SEED).shuffle(mutants)
    todo = []
    for mutant in mutants:
        begun = {"name": mutant["name"], "by": None, "test": None, "reach": {}}
        before = known.setdefault(str(mutant["number"]), begun) if mutant["viable"] else None
        if before and not before["by"] and target + pattern not in before["reach"]:
            todo.append(mutant["number"])
    with ThreadPoolExecutor(3) as pool:
        outcomes = pool.map(lambda number: killer(folder, binary, tests, number), todo)
        for number, (test, count) in zip(todo, outcomes):
            outcome = known[str(number)]
            outcome |= {"by": test and target, "test": test}
            outcome["reach"][target + pattern] = count
            file.write_text(json.dumps(known, indent=1))
            if not test:
                print(f"survives {count} tests: {number} {outcome['name']}", flush=True)
    areas = {}
    for mutant in (m for m in mutants if m["viable"]):
        outcome = known[str(mutant["number"])]
        if not outcome["reach"]:
            break
        area = re.match(r"src/(\w+)", outcome["name"])[1]
        for key in (area, "all"):
            caught, n = areas.get(key, (0, 0))
            areas[key] = caught + (outcome["by"] is not None), n + 1
    for area, (caught, n) in sorted(areas.items()):
        low, high = interval(caught, n)
        print(f"{area}: {caught}/{n} caught, {caught / n:.1%} [{low:.1%}, {high:.1%}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
