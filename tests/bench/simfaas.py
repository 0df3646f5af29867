#!/usr/bin/env python3
"""`pacer replay` beside SimFaaS: how fast each follows requests, and whether they agree.

    tests/bench/simfaas.py

SimFaaS (N. Mahmoudi and H. Khazaei, 2021; PyPI, 0.2.2) simulates one function that scales by the request: Poisson
arrivals, environments of one request, gone when idle for long enough, at most so many at once. That is what `all-lambda`
replays. Where one knows more than the other, only what both know is asked: no memory, price or rate of starts.

Each case runs under both, one after the other, round after round with other seeds; all seeds are fixed. Pacer's load is
written as counts by step, drawn from Poisson's distribution; it spreads them evenly within a step, which makes a Poisson
process of them again. What a cold start adds is fixed, so that a cold request takes as long in both. The order in which
idle environments are taken differs: SimFaaS takes the one that was created last, Pacer the one that was used last. That
tells where a request takes no small part of the idle lifetime, as in the case `short-lived`, whose cold starts are shown
and not judged.

Speed is requests per second of processor time, user and system: of SimFaaS only the simulation, without Python's start;
of Pacer the whole command, reading the trace and telling the result included. The ratio is the median of the rounds'
ratios; of the sparse cases, where most of the time goes to planning for nothing, it is told and not judged. Agreement is
the difference of the means over the rounds, in standard errors of it (`sigma`).

Ends with status 1 when something differs by more than 4 sigma, from SimFaaS or from a closed form, or the ratio of a case
is below 50. Needs `pip install simfaas==0.2.2`.
"""

import argparse
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import build

# This file is named as the package that it needs, which must not be looked for here.
del sys.path[0]

SIGMA_MAX = 4.0
RATIO_MIN = 50.0


def erlang_b(slots, load):
    inverse = 1.0
    for n in range(1, slots + 1):
        inverse = 1 + n / load * inverse
    return 1 / inverse


LOSS = {"rate": 7, "warm": 1, "start": 0.001, "idle": 600, "step": 10, "limit": 10}
LOST = erlang_b(10, 7)
# The planner is asked every 10 s of the load's time: where a request comes every 100 s, that is what takes the time.
SPARSE = {"rate": 0.01, "warm": 0.001, "start": 0.001, "step": 3600, "ratio": 0.0}

# rate: per second; warm: seconds, exponential unless `fixed`; start: seconds that a cold start adds; idle: lifetime in
# seconds; step: of the trace, in seconds; limit: on concurrency; known: closed forms; ratio: of speed, at least;
# differs: what is not judged.
CASES = {
    # The example of SimFaaS's own README.
    "readme": {"rate": 0.9, "warm": 1.991, "start": 0.253, "idle": 600, "step": 60},
    # The same with a tenth of the lifetime: the order in which idle environments are taken begins to tell.
    "short-lived": {"rate": 0.9, "warm": 1.991, "start": 0.253, "idle": 60, "step": 60, "differs": ["cold"]},
    # Requests that take no time: cold is who comes later than the lifetime after the one before, exp(-rate idle).
    "sparse": {**SPARSE, "idle": 100, "known": {"cold": math.exp(-1)}},
    "sparser": {**SPARSE, "idle": 300, "known": {"cold": math.exp(-3)}},
    # Ten at once and no more: Erlang's loss formula, whatever the distribution of durations.
    "loss": {**LOSS, "known": {"rejected": LOST, "running": 7 * (1 - LOST)}},
    "loss-fixed": {**LOSS, "fixed": True, "known": {"rejected": LOST, "running": 7 * (1 - LOST)}},
}


def simfaas(case, requests, seed):
    """Returns what SimFaaS says of a case, and its processor time in seconds."""
    import numpy
    from simfaas.ServerlessSimulator import ServerlessSimulator
    from simfaas.SimProcess import ConstSimProcess, ExpSimProcess, SimProcess

    class Cold(SimProcess):
        """A warm request behind a start."""

        def generate_trace(self):
            return case["start"] + warm.generate_trace()

    warm = (ConstSimProcess if case.get("fixed") else ExpSimProcess)(rate=1 / case["warm"])
    numpy.random.seed(seed)
    simulator = ServerlessSimulator(
        arrival_process=ExpSimProcess(rate=case["rate"]),
        warm_service_process=warm,
        cold_service_process=Cold(),
        expiration_threshold=case["idle"],
        max_time=requests / case["rate"],
        maximum_concurrency=case.get("limit", 1000),
    )
    begun = time.process_time()
    simulator.generate_trace()
    cpu_s = time.process_time() - begun
    all_of_them = simulator.total_req_count
    return {
        "cold": simulator.total_cold_count / all_of_them,
        "running": simulator.get_average_server_running_count(),
        "rejected": simulator.total_reject_count / all_of_them,
        "rate": all_of_them / cpu_s,
    }


def pacer(binary, directory, case, requests, seed):
    """Returns the same of `pacer replay`."""
    import numpy

    step = case["step"]
    counts = numpy.random.default_rng(seed).poisson(case["rate"] * step, round(requests / case["rate"] / step))
    rows = "".join(f"{number * step},{count}\n" for number, count in enumerate(counts))
    (directory / "trace.csv").write_text("timestamp,count\n" + rows)
    warm = f"{{ fixed: {case['warm']}s }}" if case.get("fixed") else f"{{ exponential: {{ mean: {case['warm']}s }} }}"
    (directory / "workload.yaml").write_text(
        f"""version: 1
scenarios:
  - name: case
    trace: trace.csv
    service_time: {warm}
    cold_start: {{ plain: {{ fixed: {case["start"]}s }} }}
    idle_lifetime: {case["idle"]}s
    reserved_concurrency: {case.get("limit", "none")}
"""
    )
    report = directory / "report.json"
    command = [binary, "replay", "--workload", directory / "workload.yaml", "--scenario", "case", "--mode", "events"]
    command += ["--planner", "all-lambda", "--seed", str(seed), "--json", report]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"pacer replay ended with status {process.returncode}")
    scenario = json.loads(report.read_text())["scenarios"][0]
    run = next(run for run in scenario["runs"] if run["name"] == "all-lambda")
    return {
        "cold": run["cold_starts"] / run["requests"],
        # Little's law: what is rejected stays for no time, and counts with the rest in the mean.
        "running": run["latency_ms"]["mean"] / 1000 * run["requests"] / scenario["seconds"],
        "rejected": run["throttled_by_reason"]["reserved"] / run["requests"],
        # One planner is asked for; were there more, each would have followed all of them.
        "rate": sum(run["requests"] for run in scenario["runs"]) / (usage.ru_utime + usage.ru_stime),
    }


def error(values):
    """Returns the standard error of the mean of independent rounds."""
    return statistics.stdev(values) / math.sqrt(len(values))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=10, help="at least 10, or chance decides what agrees")
    arguments.add_argument("--requests", type=int, default=200_000, help="of each case in each round, on average")
    arguments.add_argument("--only", help="some of " + ",".join(CASES))
    arguments.add_argument("--no-build", metavar="DIRECTORY", help="take pacer from here")
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args()
    try:
        version = importlib.metadata.version("simfaas")
    except importlib.metadata.PackageNotFoundError:
        sys.exit("no SimFaaS: pip install simfaas==0.2.2")
    if args.rounds < 10:
        arguments.error("--rounds: at least 10")
    binary = (Path(args.no_build) if args.no_build else build()) / "pacer"

    rounds = {name: [] for name in CASES if not args.only or name in args.only.split(",")}
    with tempfile.TemporaryDirectory(prefix="pacer-bench-") as directory:
        for seed in range(1, args.rounds + 1):
            for name in rounds:
                theirs = simfaas(CASES[name], args.requests, seed)
                ours = pacer(binary, Path(directory), CASES[name], args.requests, seed)
                rounds[name].append((theirs, ours))

    wrong, table = [], {}
    for name, results in rounds.items():
        table[name] = {}
        for key in ["cold", "running", "rejected"]:
            theirs, ours = [[result[who][key] for result in results] for who in (0, 1)]
            # Nothing to compare where nothing can be rejected.
            if not any(theirs + ours):
                continue
            known = CASES[name].get("known", {}).get(key)
            difference = statistics.mean(ours) - statistics.mean(theirs)
            row = {
                "simfaas": statistics.mean(theirs),
                "simfaas_error": error(theirs),
                "pacer": statistics.mean(ours),
                "pacer_error": error(ours),
                "sigma": difference / max(math.hypot(error(theirs), error(ours)), 1e-12),
            }
            if known is not None:
                row["known"] = known
                row["sigma_known"] = (row["pacer"] - known) / max(row["pacer_error"], 1e-12)
            table[name][key] = row
            for against in ["sigma", "sigma_known"]:
                if key not in CASES[name].get("differs", []) and SIGMA_MAX < abs(row.get(against, 0)):
                    wrong.append(f"{name}: {key} differs by {row[against]:.1f} {against}")
        row = {who: statistics.median(result[at]["rate"] for result in results) for at, who in enumerate(["simfaas", "pacer"])}
        row["ratio"] = statistics.median(ours["rate"] / theirs["rate"] for theirs, ours in results)
        table[name]["rate"] = row
        least = CASES[name].get("ratio", RATIO_MIN)
        if row["ratio"] < least:
            wrong.append(f"{name}: {row['ratio']:.0f} times as fast, and not {least:.0f}")

    if args.json:
        print(json.dumps(table))
    else:
        print(f"SimFaaS {version}; {args.rounds} rounds of {args.requests:,} requests; mean, and standard error of it")
        print(f"{'':13}{'':10}{'SimFaaS':>20}{'Pacer':>20}{'sigma':>8}{'known':>10}{'sigma':>8}")
        for name, rows in table.items():
            for key, row in rows.items():
                if key == "rate":
                    continue
                both = [f"{row[who]:.5g} ± {row[who + '_error']:.1g}" for who in ["simfaas", "pacer"]]
                known = f"{row['known']:>10.5g}{row['sigma_known']:>8.1f}" if "known" in row else ""
                print(f"{name:13}{key:10}{both[0]:>20}{both[1]:>20}{row['sigma']:>8.1f}{known}")
        print("requests per second of processor time")
        for name, rows in table.items():
            row = rows["rate"]
            print(f"{name:13}{'':10}{row['simfaas']:>20,.0f}{row['pacer']:>20,.0f}{row['ratio']:>8.0f} times")
    if wrong:
        sys.exit("\n".join(wrong))


main()
