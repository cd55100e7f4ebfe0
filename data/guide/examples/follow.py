"""Hands each epoch of a run to Weights & Biases as it is written: python follow.py RUN_DIR [PROJECT]"""
import json
import sys
import time
from pathlib import Path

import wandb

run_dir = Path(sys.argv[1])
record = json.loads((run_dir / "run.json").read_text())
run = wandb.init(project=sys.argv[2] if len(sys.argv) > 2 else "fa-audit", name=run_dir.name, config=record["config"])
seen = 0
while True:
    is_over = json.loads((run_dir / "run.json").read_text())["status"] != "running"
    lines = (run_dir / "metrics.jsonl").read_text().split("\n")[:-1] if (run_dir / "metrics.jsonl").exists() else []
    for line in map(json.loads, lines[seen:]):
        layers = {f"{name}/h_{l}": value for name in ("hidden_norms", "gradient_norms", "cosine") for l, value in enumerate(line[name])}
        run.log({key: value for key, value in (line | layers).items() if isinstance(value, float)}, step=line["epoch"])
    seen = len(lines)
    if is_over:
        break
    time.sleep(5)
run.finish()
