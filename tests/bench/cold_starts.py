#!/usr/bin/env python3
"""How many cold starts a warm pool saves the recorded loads of tests/sim, and what it costs.

    tests/bench/cold_starts.py [--scenario NAME]... [--max 1000] [--min 0] [--spend '$5/day']

Each load is replayed request by request under `all-lambda`, which holds nothing warm, and under `pacer` without and with
the pool, which each function of a load has for itself. What is told: requests that waited for an environment to start, the
share that the pool saves of those of `all-lambda`, what warm-up invokes cost a day, and the whole load's cost. `functions`
is the bound for a pool whose `min` is 0: of a function that nobody has asked before, the first request is cold.

Two loads of 111 million requests take minutes each. Needs a release build of pacer, or `--pacer FILE`; nothing else.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIM = ROOT / "tests/sim"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenario", action="append")
    parser.add_argument("--pacer", type=Path, help="the binary; else that of target/release")
    parser.add_argument("--min", type=int, default=0)
    parser.add_argument("--max", type=int, default=1000)
    parser.add_argument("--spend", default="$5/day")
    args = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    pacer = args.pacer or target / "release" / "pacer"
    if not pacer.exists():
        sys.exit(f"no {pacer}: cargo build --release -p pacer, or --pacer FILE")
    written = (SIM / "scenarios.yaml").read_text()
    pool = f"  warm_pool: {{ min: {args.min}, max: {args.max}, spend: {args.spend} }}\n"
    pooled = written.replace("defaults:\n", "defaults:\n" + pool, 1)
    names = args.scenario or re.findall(r"name: ([a-z-]+)", written)
    print("| scenario | functions | all-lambda | pacer | with the pool | saved | pool a day | cost | with the pool |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="pacer-cold-") as folder:
        folder = Path(folder)
        (folder / "pooled.yaml").write_text(pooled)
        for name in names:
            plain = replay(pacer, SIM / "scenarios.yaml", name, ["all-lambda", "pacer"], folder)
            warmed = replay(pacer, folder / "pooled.yaml", name, ["pacer"], folder)
            report(name, plain, warmed)


def replay(pacer, workload, name, planners, folder):
    """Returns the scenario of the report, its runs by planner."""
    out = folder / "report.json"
    command = [pacer, "replay", "--workload", workload, "--traces", SIM, "--scenario", name]
    command += ["--mode", "events", "--json", out]
    for planner in planners:
        command += ["--planner", planner]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scenario = json.loads(out.read_text())["scenarios"][0]
    scenario["runs"] = {run["name"]: run for run in scenario["runs"]}
    return scenario


def report(name, plain, warmed):
    every, own, pool = plain["runs"]["all-lambda"], plain["runs"]["pacer"], warmed["runs"]["pacer"]
    days = plain["seconds"] / 86_400
    saved = 1 - pool["cold_starts"] / max(1, every["cold_starts"])
    cells = [
        name,
        len(every["services"]),
        f"{every['cold_starts']:,}",
        f"{own['cold_starts']:,}",
        f"{pool['cold_starts']:,}",
        f"{saved:.1%}",
        f"${pool['warm_up_cost_usd'] / days:.3f}",
        f"${own['cost_usd']:.2f}",
        f"${pool['cost_usd']:.2f}",
    ]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
