#!/usr/bin/env python3
"""Asks a real Prometheus every query of every dashboard, while it scrapes a gateway under load.

check.py knows that a query names what exists. Whether it also yields something is only seen where things happen: here
`pacer demo` plays its load on live.yaml, which is short of room; a second gateway has a service whose task is gone, takes over a
policy and refuses another. A query that errs, or that stays empty to the end, fails. What is empty while all is well must be
written so that it is 0.

    tests/dashboards/live.py             needs target/debug/pacer, and prometheus on PATH (Debian package prometheus)
    tests/dashboards/live.py --show      prints what each query yielded too

Nothing waits for a fixed time: what is not there yet is asked for again, until LIMIT_S.
"""

import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACER = ROOT / "target/debug/pacer"
GRAFANA = ROOT / "dashboards/grafana"
RULES = ROOT / "dashboards/prometheus"
# After which what is still empty counts as empty. Everything together stays below two minutes.
LIMIT_S = 100
# Between two looks: how often the gateway is scraped.
LOOK_S = 1
# What Grafana would put in for these. The test has seconds where a dashboard has minutes; ten, for a machine that is busy
# scrapes late.
WINDOWS = {"$__rate_interval": "10s", "$__range": "60s", "$__interval": "1s"}
# How many times faster than real the demo's gateway believes time to pass: what it calls 80 s are four here.
TIME_SCALE = 20
# Of the second gateway: nothing listens at port 1.
BROKEN = """version: 1
listen: { http: "127.0.0.1:0" }
metrics: "127.0.0.1:0"
admin: "127.0.0.1:0"
access_log: off
services: { gone: { container: { upstreams: ["http://127.0.0.1:1"], requests_per_task: 1 } } }
routes: [{ match: { path: /gone }, service: gone }]
"""


class Failure(Exception):
    """Why the run cannot go on, or what it found."""


@contextlib.contextmanager
def started(name, arguments, folder, **environment):
    """Starts a program; ends it, and whatever it started, when the block is left. Yields a function that finds a line."""
    log = folder / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder,
                                   env=os.environ | environment, start_new_session=True)

    def find(pattern):
        """Waits until a line of the program's output matches, and returns the match."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            if found := re.search(pattern, log.read_text()):
                return found
            if process.poll() is not None:
                break
            time.sleep(0.05)
        raise Failure(f"{name}: no line with `{pattern}`\n{log.read_text()[-4000:]}")

    try:
        yield find
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address):
        self.address = address

    def ask(self, path, **parameters):
        """Returns what it answers, or raises with its own words."""
        data = urllib.parse.urlencode(parameters).encode() if parameters else None
        try:
            with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}", data, timeout=20) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise Failure(f"{error}: {said}") from None

    def ready(self):
        """Returns whether it has started."""
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=20) as answer:
                return answer.status == 200
        return False

    def now(self, expr):
        """Returns the series that `expr` yields now, as (labels, value)."""
        result = self.ask("query", query=expr)
        if result["resultType"] == "scalar":
            return [({}, result["result"][1])]
        return [(series["metric"], series["value"][1]) for series in result["result"]]

    def lately(self, expr):
        """Returns the series that `expr` yields over the last minute, each with its last number."""
        end = time.time()
        result = self.ask("query_range", query=expr, start=end - 60, end=end, step=LOOK_S)["result"]
        found = []
        for series in result:
            numbers = [value for _, value in series["values"] if math.isfinite(float(value))]
            found.append((series["metric"], numbers[-1] if numbers else "NaN"))
        return found


class Query:
    """One query of a dashboard, with the place where it stands."""

    def __init__(self, where, expr, instant):
        self.where, self.expr, self.instant = where, expr, instant
        self.found, self.at = [], None

    def answered(self, prometheus, variables):
        """Asks once; returns whether there is a number."""
        expr = filled(self.expr, variables)
        try:
            self.found = prometheus.now(expr) if self.instant else prometheus.lately(expr)
        except Failure as error:
            raise Failure(f"{self.where}: {error}\n    {expr}") from None
        self.at = time.monotonic()
        return any(math.isfinite(float(value)) for _, value in self.found)

    def __str__(self):
        shown = "\n".join(f"        {value:>24}  {labels}" for labels, value in self.found[:8])
        return f"{self.where}\n    {self.expr}\n{shown}"


def filled(expr, variables):
    """Puts in what Grafana puts in."""
    for name, value in WINDOWS.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda match: variables[match[1] or match[2]], expr)


def boards():
    return {path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("*.json"))}


def queries(name, board):
    """Returns every query of a board but those of its variables."""
    found = []
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            found.append(Query(f"{name}: {panel['title']} {target['refId']}", target["expr"], target["instant"]))
    for note in board["annotations"]["list"]:
        if "expr" in note:
            found.append(Query(f"{name}: annotation {note['name']}", note["expr"], False))
    return found


def variables(prometheus, name, board):
    """Returns the variables of a board as they are when nothing is chosen; None while one has no value yet."""
    found = {}
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        query = variable["query"]["query"]
        try:
            if asked := re.fullmatch(r"label_values\((.+), (\w+)\)", query):
                values = prometheus.ask(f"label/{asked[2]}/values?" + urllib.parse.urlencode({"match[]": filled(asked[1], found)}))
            else:
                inner = re.fullmatch(r"query_result\((.+)\)", query)[1]
                # As Grafana writes a result before the variable's regex is held against it.
                lines = [f"{{}} {value} {time.time_ns() // 1_000_000}" for _, value in prometheus.now(filled(inner, found))]
                taken = [re.search(variable["regex"].strip("/"), line) for line in lines]
                values = [str(math.ceil(float(match[1]) / TIME_SCALE)) for match in taken if match]
        except Failure as error:
            raise Failure(f"{name}: ${variable['name']}: {error}") from None
        if not values:
            return None
        everything = variable.get("allValue") or f"({'|'.join(re.escape(value) for value in values)})".replace("\\", "\\\\")
        found[variable["name"]] = everything if variable["includeAll"] else values[0]
    return found


def all_answered(prometheus, waiting, until):
    """Asks until every query of every board was answered once, or `until`; returns those that never were."""
    while True:
        for name, board in list(waiting.items()):
            values = variables(prometheus, name, board["board"])
            if values is not None:
                board["queries"] = [query for query in board["queries"] if not query.answered(prometheus, values)]
            if not board["queries"]:
                del waiting[name]
        if not waiting or until < time.monotonic():
            return [query for board in waiting.values() for query in board["queries"]]
        time.sleep(LOOK_S)


def wait_for(what, condition):
    end = time.monotonic() + LIMIT_S
    while not condition():
        if end < time.monotonic():
            raise Failure(f"not within {LIMIT_S} s: {what}")
        time.sleep(LOOK_S / 4)


def rules_work(prometheus):
    """Checks that every rule was evaluated without an error, and that what is recorded is there."""
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    for rule in rules:
        if rule["health"] != "ok":
            raise Failure(f"rule {rule['name']}: {rule['health']}: {rule.get('lastError')}")
    for rule in rules:
        if rule["type"] == "recording" and not prometheus.now(rule["name"]):
            raise Failure(f"rule {rule['name']} records nothing")
    return len(rules)


def can_fail(prometheus):
    """Checks the test: what is wrong and what is nothing must be found to be."""
    nothing = Query("self-test", "pacer_nonsense", True)
    if nothing.answered(prometheus, {}):
        raise Failure("self-test: a metric that does not exist was found")
    try:
        Query("self-test", "sum(", False).answered(prometheus, {})
    except Failure:
        return
    raise Failure("self-test: a query that is cut off was answered")


@contextlib.contextmanager
def asked(address):
    """Sends a few requests a second, whatever becomes of them."""
    ended = threading.Event()

    def ask():
        while not ended.wait(0.2):
            for path in ("/gone", "/unknown"):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://{address}{path}", timeout=5).close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def play(folder, show):
    begun = time.monotonic()
    policy = folder / "broken.yaml"
    policy.write_text(BROKEN)
    demo = [PACER, "demo", "--plain", "--duration", "10m", "--time-scale", str(TIME_SCALE), "--policy", Path(__file__).parent / "live.yaml"]
    demo += ["--port", "0", "--admin-port", "0", "--metrics-port", "0"]
    broken = [PACER, "serve", "--workers", "1", "--policy", policy]
    with started("demo", demo, folder) as demo_says, started("broken", broken, folder) as broken_says, \
            asked(broken_says(r"pacer listening on http://([0-9.:]+)")[1]):
        metrics = [demo_says(r"metrics http://([0-9.:]+)/metrics")[1], broken_says(r"pacer metrics on http://([0-9.:]+)")[1]]
        (folder / "prometheus.yml").write_text(
            f"global: {{ scrape_interval: {LOOK_S}s, evaluation_interval: {LOOK_S}s }}\n"
            f"rule_files: ['{RULES}/rules.yml', '{RULES}/alerts.yml']\n"
            f"scrape_configs: [{{ job_name: pacer, static_configs: [{{ targets: {metrics} }}] }}]\n")
        server = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", "--web.listen-address=127.0.0.1:0"]
        with started("prometheus", server, folder) as prometheus_says:
            prometheus = Prometheus(prometheus_says(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')[1])
            wait_for("a Prometheus that is ready", prometheus.ready)
            wait_for("a first scrape", lambda: 2 == len(prometheus.now("up == 1")))
            can_fail(prometheus)
            # A policy that is taken over is told apart from the one that a gateway starts with by its age.
            aged = f'process_start_time_seconds{{instance="{metrics[1]}"}} + 6 < time()'
            wait_for("a gateway that runs for 6 s", lambda: prometheus.now(aged))
            policy.write_text(BROKEN.replace("requests_per_task: 1", "requests_per_task: 2"))
            wait_for("a policy that is taken over", lambda: prometheus.now('pacer_reload_total{result="applied"} == 1'))
            policy.write_text("version: 1\nlisten: nowhere\n")
            wait_for("a policy that is refused", lambda: prometheus.now("pacer_reload_failed == 1"))

            waiting = {name: {"board": board, "queries": queries(name, board)} for name, board in boards().items()}
            every = [query for board in waiting.values() for query in board["queries"]]
            empty = all_answered(prometheus, waiting, begun + LIMIT_S)
            rules = rules_work(prometheus)
            if show:
                for query in sorted(every, key=lambda query: query.at or 0):
                    print(f"{(query.at or begun) - begun:5.1f} s  {query}")
            for query in empty:
                print(f"FAILED {query.where}: nothing in {LIMIT_S} s\n    {query.expr}")
            print(f"{len(every)} queries and {rules} rules on a live gateway in {time.monotonic() - begun:.0f} s")
            print(f"{len(every) - len(empty)} passed, {len(empty)} failed")
            return 1 if empty else 0


def main():
    if not shutil.which("prometheus"):
        print("there is no prometheus on PATH: install the Debian package prometheus")
        return 1
    if not PACER.exists():
        print(f"there is no {PACER}: cargo build -p pacer")
        return 1
    with tempfile.TemporaryDirectory(prefix="pacer-dashboards-") as folder:
        try:
            return play(Path(folder), "--show" in sys.argv[1:])
        except Failure as failure:
            print(f"FAILED {failure}")
            return 1


if __name__ == "__main__":
    sys.exit(main())
