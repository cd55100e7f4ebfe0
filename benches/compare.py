#!/usr/bin/env python3
"""fa-audit against PyTorch on this machine, in turns: samples a second, their ratio, peak memory.

Usage:  python3 benches/compare.py --python VENV/bin/python [--only resmlp-256x4/dfa] [--rounds 7] [--json FILE]
Needs no package itself; VENV is one that holds PyTorch. Builds benches/throughput.rs with cargo first.

A scenario is a network, a rule and a use of the machine: `study`, two trainings side by side, or `single`, one
training with all cores. In a first quick pass PyTorch is measured in every form: eager and compiled, and
`study` as two processes of one thread and as one process of two threads, `single` as one process of two threads and
of one. The best one is the denominator, and is named. Then both programs measure in turns, A B, B A, A B, …, each
on a machine that the other leaves idle: their processes live through all rounds and wait for a line on standard input.
The first round is warm-up and is not counted. The ratio of a round is fa-audit's samples a second over PyTorch's,
summed over the processes; printed are the median, the least, the largest and the number of rounds.

--quick is short enough to see that everything works, and too short for numbers.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SCENARIOS = [
    (net, rule, use)
    for net, rules in [("resmlp-256x4", "bp fa dfa"), ("resmlp-512x12", "bp dfa"), ("vit-mini", "bp dfa")]
    for rule in rules.split()
    for use in ("study", "single")
]
# (processes, threads of each)
PYTORCH_LAYOUTS = {"study": [(2, 1), (1, 2)], "single": [(1, 2), (1, 1)]}
OUR_LAYOUTS = {"study": [(2, 1)], "single": [(1, 1), (1, 2)]}


class Failed(Exception):
    """A program that could not be measured, and what it said."""


class Team:
    """Processes of one program that measure at the same time."""

    def __init__(self, command, layout, form):
        processes, threads = layout
        self.name = f"{form}, {processes} process{'es' * (processes > 1)} x {threads} thread{'s' * (threads > 1)}"
        self.peak = 0.0
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), RUST_BACKTRACE="0")
        self.said = tempfile.TemporaryFile("w+")
        self.members = [
            subprocess.Popen([*command, "--threads", str(threads), "--wait"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=self.said, text=True, env=environment)
            for _ in range(processes)
        ]
        self.answers()  # each says that it is ready

    def answers(self):
        lines = [member.stdout.readline() for member in self.members]
        if not all(lines):
            self.end()
            self.said.seek(0)
            why = self.said.read().strip().splitlines()
            raise Failed(f"{self.name}: {why[-1] if why else 'ended without a word'}")
        return [json.loads(line) for line in lines]

    def measure(self):
        """Samples a second of all processes together."""
        for member in self.members:
            member.stdin.write("go\n")
            member.stdin.flush()
        measured = self.answers()
        self.answers()  # ready again
        self.peak = max([self.peak, *(m["peak_memory_mb"] for m in measured)])
        self.first_step = measured[0]["first_step_seconds"]
        return sum(m["samples_per_second"] for m in measured)

    def end(self):
        for member in self.members:
            member.stdin.close()
        for member in self.members:
            member.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def build():
    """Path of the throughput benchmark."""
    command = ["cargo", "bench", "--no-run", "--bench", "throughput", "--no-default-features", "--features", "flex",
               "--message-format", "json"]
    out = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("name") == "throughput" and message.get("executable"):
            return message["executable"]
    raise Failed("cargo built no benchmark of the name throughput")


def best(candidates, seconds_of_pass):
    """The fastest (command, layout, form), with all that was measured; forms that do not run are said and skipped."""
    measured = []
    for command, layout, form in candidates:
        try:
            with Team([*command, "--seconds", str(seconds_of_pass)], layout, form) as team:
                team.measure()
                measured.append((team.measure(), team.name, (command, layout, form)))
        except Failed as why:
            print(f"  skipped: {why}", file=sys.stderr)
    if not measured:
        raise Failed("no form of it runs")
    for speed, name, _ in measured:
        print(f"  {name}: {speed:.0f}/s", file=sys.stderr)
    return max(measured)[2], {name: speed for speed, name, _ in measured}


def compare(scenario, options, throughput):
    net, rule, use = scenario
    common = ["--net", net, "--rule", rule]
    if options.data_dir:
        common += ["--data-dir", options.data_dir]
    # A step of the ViT takes most of a second where one of the small network takes hundredths.
    seconds = options.seconds * (2 if net == "vit-mini" else 1)
    warmup = ["--warmup", "5" if net == "vit-mini" else "30"]
    torch = [options.python, str(HERE / "pytorch_step.py"), *common, *warmup]
    print("/".join(scenario), file=sys.stderr)
    theirs, forms = best(
        [([*torch, "--mode", mode], layout, mode) for mode in options.modes for layout in PYTORCH_LAYOUTS[use]],
        seconds / 2)
    ours = ([throughput, *common, *warmup], OUR_LAYOUTS[use][0], "flex")
    if use == "single":
        ours, own = best([(ours[0], layout, "flex") for layout in OUR_LAYOUTS[use]], seconds / 2)
    rounds = []
    with Team([*ours[0], "--seconds", str(seconds)], *ours[1:]) as a, \
         Team([*theirs[0], "--seconds", str(seconds)], *theirs[1:]) as b:
        for k in range(options.rounds + 1):
            teams = [a, b] if k % 2 == 0 else [b, a]
            speed = {}
            for team in teams:
                time.sleep(0.5)  # OpenMP's threads spin for a while after their last work
                speed[team] = team.measure()
            if k > 0:
                rounds.append((speed[a], speed[b]))
        result = dict(
            net=net, rule=rule, use=use, fa_audit=a.name, pytorch=b.name, rounds=rounds, pytorch_forms=forms,
            fa_audit_samples_per_second=statistics.median(r[0] for r in rounds),
            pytorch_samples_per_second=statistics.median(r[1] for r in rounds),
            ratio=statistics.median(r[0] / r[1] for r in rounds),
            ratio_min=min(r[0] / r[1] for r in rounds), ratio_max=max(r[0] / r[1] for r in rounds), n=len(rounds),
            fa_audit_peak_memory_mb=a.peak, pytorch_peak_memory_mb=b.peak,
            fa_audit_first_step_seconds=a.first_step, pytorch_first_step_seconds=b.first_step)
    return result


def row(r):
    return (f"| {r['net']} | {r['rule']} | {r['use']} | {r['fa_audit_samples_per_second']:.0f} "
            f"| {r['pytorch_samples_per_second']:.0f} | {r['ratio']:.2f} "
            f"| {r['ratio_min']:.2f}–{r['ratio_max']:.2f} | {r['n']} | {r['fa_audit_peak_memory_mb']:.0f} "
            f"| {r['pytorch_peak_memory_mb']:.0f} | {r['fa_audit'].removeprefix('flex, ')} | {r['pytorch']} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="interpreter that has PyTorch")
    parser.add_argument("--only", default="", help="scenarios whose name (network/rule/use) contains this")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of one measurement; twice that for vit-mini")
    parser.add_argument("--modes", default="eager,compile", help="PyTorch's forms, of eager, compile, max-autotune")
    parser.add_argument("--data-dir", help="folder of CIFAR-10's binary files; random bytes without it")
    parser.add_argument("--throughput", help="the built benchmark, instead of building it")
    parser.add_argument("--json", type=pathlib.Path, help="also write all numbers here, one object a line")
    parser.add_argument("--quick", action="store_true", help="two rounds of two seconds")
    options = parser.parse_args()
    options.modes = options.modes.split(",")
    if options.quick:
        options.rounds, options.seconds = 2, 2.0
    chosen = [s for s in SCENARIOS if options.only in "/".join(s)]
    if not chosen:
        parser.error(f"--only {options.only}: no scenario; they are {' '.join('/'.join(s) for s in SCENARIOS)}")
    try:
        throughput = options.throughput or build()
        results = []
        for scenario in chosen:
            results.append(compare(scenario, options, throughput))
            print(row(results[-1]), file=sys.stderr)
            if options.json:
                options.json.write_text("".join(json.dumps(r) + "\n" for r in results))
    except (Failed, subprocess.CalledProcessError, OSError) as error:
        return f"compare.py: {error}"
    print("| network | rule | use | fa-audit samples/s | PyTorch samples/s | ratio | min–max | n "
          "| fa-audit MB | PyTorch MB | fa-audit's form | PyTorch's form |")
    print("|" + "---|" * 12)
    for result in results:
        print(row(result))


if __name__ == "__main__":
    sys.exit(main())
