#!/usr/bin/env python3
"""`pacer replay` beside `pacer demo`: does the replay of what just ran come to what just ran?

    tests/bench/demo_replay.py

The demo runs for real: a gateway, two tasks of each service, Lambda environments that are processes, on this machine. Its
access log becomes a trace of the same arrivals, each with the time it took, and `pacer replay` follows them under the
same policy. Service times and start times are measured, so they are given to the replay; what is compared is what it
makes of them: where requests go, why they leave their lane, how many environments start, how many requests wait and for
how long, what is used.

How the one is made from the other:
- Tasks: under these policies the demo does not scale, two tasks of each service run all the time. So replays `best-static`, whose number is held
  within `tasks: { min: 2, max: 2 }`; they are ready when the load begins, as the gateway waits for them before it.
- Requests: what is sent is drawn from a fixed seed, here once more, because the log has no queries and the policy tells
  sizes by them. Each has its `service_ms`; one with a cold start has the median of the others that asked for the same,
  or, where there are not three, what it took less a start.
- Starts: what a request with a cold start took beyond that median, as quantiles, of the same run.
- Idle lifetime: the local cloud's 5 min over the time scale.

Lambda's usage is judged on a second replay, in which requests and starts have the time that was billed, by the access
log, and not the time that the gateway saw: replay knows one time of a request, and bills it whole. How far off both are
from what the local cloud bills is told and not judged: `cloud, billed` is how far the adapter's account is from Lambda's,
`cloud, seen` is what somebody gets who has nothing but the times that a gateway or a load balancer saw.

Cases: `built-in` is one service as the demo has it, with four requests a task: enough of everything. `tight` has a service for each route, one
request a task and few invocations at once, so that requests leave their lanes because slots are full and because Lambda
is. `cold` sends everything to Lambda first at ten times the time scale: environments stay for 1.5 s. Services of the
latter two are also compared one by one.

What follows from what is given and what does not: lanes, spills, starts, waits, busy slots and what is learned are the
replay's own. A request that neither waits nor starts anything takes what it took: so p50 has to agree, and p99 nearly.

A round is a run of each case and replays of it under several seeds. Told is the mean of the rounds, the difference, and
its standard error (of the paired differences, replays averaged over seeds). It ends with status 1 when a difference is
beyond both its tolerance and 4 standard errors; one beyond its tolerance alone is told as `cannot tell`: more rounds may.
Standard library only.
"""

import argparse
import csv
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path

from common import build

SIGMA_MAX = 4.0
IDLE_S = 300
TASKS = 2
MEMORY_MB = 1769
# Of the demo's load (deploy/demo/src/load/mix.rs and due.rs).
SEED = 13
RESIZES = 0.08
FILMS = 0.08
WIDTHS = [64, 128, 256, 512, 1024, 1440]

# What may differ and still agree. Relative to the live value, and then so much at least, or absolute (`points`: of 100
# requests).
#   lambda, spills, within: points. Two of 100 requests are fewer than what moves when a resize is classed a second later.
#   cold: 20 %, or 4 standard errors. Starts compete for the cores that replay does not know of.
#   GB-s, tasks, slot-s: 5 %, what a month's bill may be off by and still be used.
#   p50: 15 %, p99: 30 %: a bucket of the gateway's own histograms is 19 % wide; 99th percentiles hang on ten requests.
TOLERANCES = {
    "lambda, % of requests": ("points", 2),
    "slots-full, % of requests": ("points", 2),
    "lambda-capped, % of requests": ("points", 2),
    "other spills, % of requests": ("points", 2),
    "cold starts": ("relative", 0.20, 1),
    "failed": ("points", 0.1),
    "Lambda GB-s": ("relative", 0.05),
    "GB-s: cloud, billed": None,
    "GB-s: cloud, seen": None,
    "tasks": ("relative", 0.05),
    "busy slot-s": ("relative", 0.05, 1),
    "mean, ms": ("relative", 0.15),
    "p50, ms": ("relative", 0.15),
    "within live p95, %": ("points", 2),
    "p99, ms": ("relative", 0.30),
}

ROUTES = {
    "thumbs": ("/thumb", "class: sprinter"),
    "resizes": ("/resize", "class: auto, auto: { sprinter_up_to: 50ms, prior: 30ms, size_by: { query: width } }"),
    "films": ("/render", "class: auto, auto: { sprinter_up_to: 50ms, prior: 1s, size_by: { query: frames } }"),
}
SPRINTERS = {route: (path, "class: sprinter") for route, (path, _) in ROUTES.items()}
# Of each service: invocations at once, requests a task, routes.
CASES = {
    "built-in": {"photos": (32, 4, ROUTES)},
    "tight": {name: (1 if name == "films" else 2, 1, {name: route}) for name, route in ROUTES.items()},
    "cold": {name: (32, 4, {name: route}) for name, route in SPRINTERS.items()},
}
TIME_SCALES = {"built-in": 20, "tight": 20, "cold": 200}


def policy(case, log, objective_ms=None):
    """Returns the policy of a case: that of the demo with an access log, and with other limits."""
    objective = f", objective: {{ p99: {objective_ms:.0f}ms }}" if objective_ms else ""
    services = "".join(
        f"""  {name}:
    lambda:
      function: {name}:live
      max_in_flight: {at_once}
      assume: {{ memory: {MEMORY_MB}MiB, timeout: 30s, arch: arm64 }}
    container:
      ecs: {{ cluster: demo, service: {name}, port: 8080 }}
      requests_per_task: {slots}
      probe: {{ path: /health, interval: 1s, timeout: 1s }}
      assume: {{ vcpu: 1, memory: 2GiB, arch: arm64 }}
"""
        for name, (at_once, slots, _) in CASES[case].items()
    )
    routes = "".join(
        f"  - {{ match: {{ path: {path} }}, service: {name}, {rest} }}\n"
        for name, (_, _, routes) in CASES[case].items()
        for path, rest in routes.values()
    )
    return f"""version: 1
region: us-east-1
endpoint_url: "${{PACER_DEMO_CLOUD:-http://127.0.0.1:1}}"
listen: {{ http: "127.0.0.1:${{PACER_DEMO_PORT:-0}}" }}
metrics: "127.0.0.1:${{PACER_DEMO_METRICS_PORT:-0}}"
admin: "127.0.0.1:${{PACER_DEMO_ADMIN_PORT:-0}}"
access_log: {{ file: "{log}" }}
defaults: {{ mode: observe, timeouts: {{ queue: 5s }}{objective} }}
services:
{services}routes:
{routes}"""


def units(seed):
    """Yields the numbers from 0 to 1 that the demo draws (SplitMix64)."""
    state = seed
    while True:
        state = state + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        yield ((z ^ z >> 31) >> 11) / (1 << 53)


def draws(films, others):
    """Returns the targets of so many of the demo's films and other requests, each in the order in which they are sent."""
    film, other = units(SEED + 2), units(SEED + 3)
    sent = {path: [] for path, _ in ROUTES.values()}
    sent["/render"] = [f"/render?frames={30 + int(next(film) * 90)}" for _ in range(films)]
    for _ in range(others):
        route, size = next(other), next(other)
        resize = route < RESIZES / (1.0 - FILMS)
        target = f"/resize?width={WIDTHS[int(size * len(WIDTHS))]}" if resize else "/thumb"
        sent[target.split("?")[0]].append(target)
    return sent


class Bill(threading.Thread):
    """Asks the local cloud for its bill until it is gone, and keeps when it said what."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.told = address, []

    def run(self):
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/_local/bill", timeout=2) as response:
                    self.told.append((time.time(), json.load(response)))
            except OSError:
                return
            time.sleep(0.1)


def play(binary, directory, case, seconds):
    """Runs the demo; returns its requests in the order of arrival, and what the local cloud billed."""
    log, file = directory / "access.log", directory / "live.yaml"
    log.unlink(missing_ok=True)
    file.write_text(policy(case, log))
    command = [binary, "demo", "--plain", "--port", "0", "--admin-port", "0", "--metrics-port", "0"]
    command += ["--duration", f"{seconds}s", "--time-scale", str(TIME_SCALES[case]), "--policy", file]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    bill, said = None, []
    for line in process.stdout:
        said.append(line)
        found = re.search(r"local cloud http://([^/]+)/", line)
        if found and bill is None:
            bill = Bill(found[1])
            bill.start()
    # Status 1 says that a request failed: that is told with the rest.
    if process.wait() not in (0, 1) or bill is None:
        sys.exit(f"pacer demo ended with status {process.returncode}:\n{''.join(said)}")
    bill.join()

    requests = [json.loads(line) for line in log.read_text().splitlines()]
    for request in requests:
        request["at_s"] = datetime.fromisoformat(request["ts"]).timestamp()
    requests.sort(key=lambda request: request["at_s"])
    # What was sent is known in order; how large the answers are tells of resizes which of two came first.
    films = sum(request["path"] == "/render" for request in requests)
    sent = draws(films, len(requests) - films)
    for path, targets in sent.items():
        arrived = [request for request in requests if request["path"] == path]
        if len(arrived) != len(targets):
            sys.exit(f"{len(arrived)} requests of {path} arrived, and {len(targets)} were drawn")
        for request, target in zip(arrived, targets):
            request["url"] = target
    resized = [request for request in requests if request["path"] == "/resize" and request["status"] == 200]
    sizes = {}
    for request in resized:
        sizes.setdefault(request["url"], []).append(request["bytes_out"])
    url = {statistics.mode(bytes_out): url for url, bytes_out in sizes.items()}
    if {request["bytes_out"] for request in resized} != set(url):
        sys.exit("answers to resizes are not as large as those to others of their width: the demo draws in another way")
    for request in resized:
        request["url"] = url[request["bytes_out"]]
    return requests, bill.told


def without_starts(requests, run):
    """Returns how long each request ran, in ms, and sorted what starts took; `run` returns what a request took in all."""
    warm = {}
    for request in requests:
        if request["lane"] == "lambda" and not request["cold_start"]:
            warm.setdefault(request["url"], []).append(run(request))
    known = {url: statistics.median(times) for url, times in warm.items() if 3 <= len(times)}
    cold = [request for request in requests if request["cold_start"]]
    start_ms = sorted(max(0.1, run(request) - known[request["url"]]) for request in cold if request["url"] in known)
    start = statistics.median(start_ms) if start_ms else 0.1

    def ran(request):
        if not request["cold_start"]:
            return run(request)
        return known.get(request["url"], max(0.1, run(request) - start))

    return ran, start_ms or [0.1]


def quantile(values, share):
    """Returns a quantile of sorted values, by straight lines."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


def replay(binary, directory, case, requests, ran, start_ms, seed, objective_ms):
    """Replays requests that ran for what `ran` returns, on environments that start in `start_ms`; returns the run."""
    points = ", ".join(f"p{share}: {quantile(start_ms, share / 100) * 1000:.0f}us" for share in range(0, 101, 5))
    (directory / "assumed.yaml").write_text(
        f"""version: 1
defaults:
  tasks: {{ min: {TASKS}, max: {TASKS} }}
  idle_lifetime: {IDLE_S * 1000 / TIME_SCALES[case]:.0f}ms
  cold_start: {{ plain: {{ quantiles: {{ {points} }} }} }}
"""
    )
    # In units of usage: costs then are GB-s, requests and vCPU-s.
    (directory / "prices.yaml").write_text(
        """lambda:
  million_requests: { price: "1000000" }
  duration_gb_second: { arm64: [{ price: "1" }] }
fargate:
  vcpu_hour: { arm64: { price: "3600" } }
  gb_hour: { arm64: { price: "0" } }
"""
    )
    (directory / "replay.yaml").write_text(policy(case, directory / "none.log", objective_ms))
    with open(directory / "trace.csv", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["timestamp_us", "method", "url", "status", "duration_us", "request_bytes", "response_bytes"])
        for request in requests:
            row = [round(request["at_s"] * 1e6)] + [request[name] for name in ["method", "url", "status"]]
            out.writerow([*row, round(ran(request) * 1000), request["bytes_in"], request["bytes_out"]])
    report = directory / "report.json"
    command = [binary, "replay", directory / "trace.csv", "--policy", directory / "replay.yaml"]
    command += ["--workload", directory / "assumed.yaml", "--prices", directory / "prices.yaml"]
    command += ["--planner", "best-static", "--seed", str(seed), "--json", report]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    scenario = json.loads(report.read_text())["scenarios"][0]
    return scenario["runs"][0] | {"seconds": scenario["seconds"]}


def seen(request):
    return request["service_ms"]


def billed(request):
    """Returns what was billed on Lambda, and in a container what it took."""
    return request["billed_ms"] if request["billed_ms"] is not None else request["service_ms"]


def replayed(binary, directory, case, requests, seed, live, services):
    """Returns what two replays come to: with the times seen, and for usage with those billed."""
    totals = sorted(request["total_ms"] for request in requests)
    # Policies have no fractions of a millisecond, and at least one.
    within_ms = max(1, round(quantile(totals, 0.95)))
    as_seen = replay(binary, directory, case, requests, *without_starts(live, seen), seed, within_ms)
    as_billed = replay(binary, directory, case, requests, *without_starts(live, billed), seed, within_ms)
    all_of_them = as_seen["requests"]
    percent = lambda count: 100 * count / all_of_them
    spills = as_seen["spills_by_reason"]
    slots = {name: CASES[case][name][1] for name in services}
    task_s = as_seen["cost_by_item_usd"]["fargate_vcpu"]
    # Fargate bills a minute at least; what runs shorter is not told.
    tasks = task_s / max(60, as_seen["seconds"]) / len(services)
    slot_s = as_seen["utilisation"] * as_seen["seconds"] * TASKS * sum(slots.values())
    return {
        "lambda, % of requests": percent(as_seen["requests_by_lane"]["lambda"]),
        "slots-full, % of requests": percent(spills["slots-full"]),
        "lambda-capped, % of requests": percent(spills["lambda-capped"]),
        "other spills, % of requests": percent(sum(spills.values()) - spills["slots-full"] - spills["lambda-capped"]),
        "cold starts": as_seen["cold_starts"],
        "failed": percent(as_seen["failures"]),
        "Lambda GB-s": as_billed["cost_by_item_usd"]["lambda_duration"],
        "GB-s: cloud, billed": as_billed["cost_by_item_usd"]["lambda_duration"],
        "GB-s: cloud, seen": as_seen["cost_by_item_usd"]["lambda_duration"],
        "tasks": tasks,
        "busy slot-s": slot_s,
        "mean, ms": as_seen["latency_ms"]["mean"],
        "p50, ms": as_seen["latency_ms"]["p50"],
        "within live p95, %": 100 * as_seen["within_objective"],
        "p99, ms": as_seen["latency_ms"]["p99"],
    }


def lived(requests, told, services):
    """Returns what a run of the demo came to, by its access log, and by the local cloud's bill."""
    totals = sorted(request["total_ms"] for request in requests)
    percent = lambda count: 100 * count / len(requests)
    reason = lambda name: sum(request["reason"] == name for request in requests)
    within_ms = max(1, round(quantile(totals, 0.95)))
    first_s, last_s = requests[0]["at_s"], requests[-1]["at_s"]
    during = [bill for at_s, bill in told if first_s <= at_s <= last_s]
    times = [at_s for at_s, _ in told if first_s <= at_s <= last_s]
    of = lambda bill: sum(bill["services"][f"demo/{name}"]["task_ms"] for name in services)
    last = told[-1][1]
    mb_ms = sum(last["functions"][name]["mb_ms"] for name in services)
    on_lambda = sum(request["lane"] == "lambda" for request in requests)
    return {
        "lambda, % of requests": percent(on_lambda),
        "slots-full, % of requests": percent(reason("spill-slots-full")),
        "lambda-capped, % of requests": percent(reason("spill-lambda-capped")),
        "other spills, % of requests": percent(
            reason("spill-no-tasks")
            + reason("spill-lambda-down")
            + sum(request["spill"] is not None for request in requests)
        ),
        "cold starts": sum(request["cold_start"] is True for request in requests),
        "failed": percent(sum(request["status"] != 200 for request in requests)),
        "Lambda GB-s": sum(request["billed_ms"] or 0 for request in requests) * MEMORY_MB / 1024 / 1000,
        "GB-s: cloud, billed": mb_ms / 1024 / 1000,
        "GB-s: cloud, seen": mb_ms / 1024 / 1000,
        "tasks": (of(during[-1]) - of(during[0])) / 1000 / (times[-1] - times[0]) / len(services),
        "busy slot-s": sum(request["service_ms"] for request in requests if request["lane"] == "container") / 1000,
        "mean, ms": statistics.mean(totals),
        "p50, ms": quantile(totals, 0.50),
        "within live p95, %": percent(sum(total <= within_ms for total in totals)),
        "p99, ms": quantile(totals, 0.99),
        # For the reader: whether the last answer of the cloud was its last word, and what left its lane once it was tried.
        "requests": len(requests),
        "spilled": dict(Counter(request["spill"] for request in requests if request["spill"])),
        "billed": sum(last["functions"][name]["requests"] for name in services) / max(1, on_lambda),
    }


def judge(rows):
    """Returns the table of a case or service: live and replayed values by round to means, difference and error."""
    table = {}
    for key, tolerance in TOLERANCES.items():
        live = [live[key] for live, _ in rows]
        ours = [statistics.mean(each[key] for each in seeds) for _, seeds in rows]
        differences = [our - their for our, their in zip(ours, live)]
        chance = [statistics.stdev(each[key] for each in seeds) for _, seeds in rows if 1 < len(seeds)]
        row = {
            "live": statistics.mean(live),
            "live_spread": statistics.stdev(live),
            "replay": statistics.mean(ours),
            "seeds_spread": statistics.mean(chance) if chance else 0.0,
            "difference": statistics.mean(differences),
            "error": statistics.stdev(differences) / math.sqrt(len(rows)),
        }
        row["relative"] = row["difference"] / row["live"] if row["live"] else None
        if tolerance is None:
            row["verdict"] = "not judged"
        else:
            kind, most, *least = tolerance
            allowed = most if kind == "points" else max(most * row["live"], *least, 0)
            beyond = allowed < abs(row["difference"])
            row["verdict"] = "agrees"
            if beyond:
                sure = SIGMA_MAX * row["error"] < abs(row["difference"])
                row["verdict"] = "DIFFERS" if sure else "cannot tell"
        table[key] = row
    return table


def show(tables, results):
    """Prints means of the rounds, with the spread of a round and of a seed, and the difference with its error."""
    for group, table in tables.items():
        requests = statistics.mean(live["requests"] for live, _ in results[group])
        known = 100 * min(live["billed"] for live, _ in results[group])
        spilled = sum((Counter(live["spilled"]) for live, _ in results[group]), Counter())
        print(f"\n{group}: {requests:,.0f} requests a round, {known:.1f} % or more of them in the last bill that was read")
        print(f"left a lane that had been tried: {dict(spilled) or 'none'}")
        heads = ["live", "±", "replay", "±", "differs", "error", "relative"]
        print(f"{'':30}{''.join(f'{head:>10}' for head in heads)}")
        for key, row in table.items():
            names = ["live", "live_spread", "replay", "seeds_spread", "difference", "error"]
            # No more digits than are worth reading: what is below a thousandth is noise of clocks.
            numbers = [f"{float(f'{round(row[name], 3):.3g}') + 0.0:g}" for name in names]
            numbers.append("" if row["relative"] is None else f"{100 * row['relative']:+.1f} %")
            print(f"{key:30}{''.join(f'{number:>10}' for number in numbers)}  {row['verdict']}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=5, help="at least 3; of 5, chance passes 4 standard errors in 1.6 %%")
    arguments.add_argument("--seconds", type=int, default=60, help="of each run, at least 60")
    arguments.add_argument("--seeds", type=int, default=5, help="replays of each run")
    arguments.add_argument("--only", help="some of " + ",".join(CASES))
    arguments.add_argument("--no-build", metavar="DIRECTORY", help="take pacer from here")
    arguments.add_argument("--json", action="store_true")
    args = arguments.parse_args()
    unknown = set((args.only or "").split(",")) - set(CASES) - {""}
    if unknown:
        arguments.error(f"--only: no case is named {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if args.rounds < 3 or args.seconds < 60:
        arguments.error("at least 3 rounds of 60 seconds")
    binary = (Path(args.no_build) if args.no_build else build()) / "pacer"

    results, load = {}, []
    with tempfile.TemporaryDirectory(prefix="pacer-bench-") as directory:
        directory = Path(directory)
        for number in range(args.rounds):
            for case in CASES:
                if args.only and case not in args.only.split(","):
                    continue
                requests, told = play(binary, directory, case, args.seconds)
                load.append(os.getloadavg()[0])
                groups = {case: list(CASES[case])}
                if 1 < len(CASES[case]):
                    groups |= {f"{case}: {name}": [name] for name in CASES[case]}
                for group, services in groups.items():
                    own = [request for request in requests if request["service"] in services]
                    seeds = range(number * args.seeds + 1, (number + 1) * args.seeds + 1)
                    ours = [replayed(binary, directory, case, own, seed, requests, services) for seed in seeds]
                    results.setdefault(group, []).append((lived(own, told, services), ours))

    tables = {group: judge(rows) for group, rows in results.items()}
    if args.json:
        print(json.dumps({"load": load, "tables": tables, "rounds": results}))
    else:
        print(f"{args.rounds} rounds of {args.seconds} s, {args.seeds} seeds each; load average {statistics.mean(load):.1f}")
        show(tables, results)
    rows = [(group, key, row["verdict"]) for group, table in tables.items() for key, row in table.items()]
    wrong = [f"{group}: {key} differs" for group, key, verdict in rows if verdict == "DIFFERS"]
    if wrong:
        sys.exit("\n".join(wrong))


main()
