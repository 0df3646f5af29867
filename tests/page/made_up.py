"""A gateway that is made up: serves the page's own files, and snapshots that a test writes.

For what a real gateway shows rarely or not on demand: trouble of each kind, hostile names, an hour of snapshots in a minute.
The shapes are the gateway's, which test_gateway.py holds these against. Standard library only.
"""

import copy
import json
import math
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "dashboards/mission-control"
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
# The policy that the gateway sends, read from where it stands.
_RUST = (ROOT / "router/src/admin/page.rs").read_text()
POLICY = re.sub(r"\\\n\s+", "", re.search(r'const MAY: &str = "([^;]*?;.*?)";', _RUST, re.S)[1])


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def service(name, rate, lambda_share, tasks, planned, **more):
    slots = tasks * 4
    made = {
        "name": name, "mode": "act", "rate": rate, "failed": 0.0, "lambda_rate": round(rate * lambda_share, 2), "container_rate": round(rate * (1 - lambda_share), 2),
        "lambda": {"function": f"{name}:live", "up": True, "ready": True, "usable": True, "in_flight": round(rate * lambda_share * 0.05), "max_in_flight": 200, "error": None},
        "container": {"ready": tasks, "starting": max(0, planned - tasks), "draining": 0, "slots": slots, "busy": round(slots * 0.6), "waiting": 0},
        "plan": {"tasks": planned, "warm": None, "provisioned": None, "why": f"{planned} tasks: demand p54 = {planned * 3.1:.0f} busy slots at 14:32, break-even 48 %",
                 "at": stamp(time.time()), "due": stamp(time.time() + 80), "start_seconds": 80.0, "time_scale": 1.0, "demand": slots * 0.6, "expected": slots * 0.66, "p90": slots * 0.81, "break_even": 0.48},
        "not_acted_on": None, "discovery_error": None,
        "minute": {"seconds": 60, "requests": round(rate * 60), "failed": 0, "late": 0, "p99_at_most_ms": 500.0},
        "objective": {"p99_ms": [800.0, 800.0], "success": 0.999},
    }
    return made | more


def decision(route, count, cls, lane, reason, median, **more):
    made = {"ts": stamp(time.time()), "route": route, "service": "recognise", "class": cls, "decided": lane, "reason": reason, "ruled_out": [], "lane": lane, "spill": None,
            "status": 200, "end": "complete", "queue_ms": 0.0, "service_ms": median, "total_ms": median, "retries": 0, "cold_start": None, "count": count, "median_ms": median}
    return made | more


def well():
    """A gateway with which all is well."""
    now = time.time()
    services = [service("recognise", 182.4, 0.62, 5, 5), service("reports", 14.1, 0.0, 3, 3, **{"lambda": None}), service("thumbnails", 61.0, 1.0, 0, 0, container=None, plan=None, mode="observe")]
    ago = lambda minutes: stamp(now - minutes * 60)
    return {
        "at": stamp(now), "version": "0.1.0", "started": stamp(now - 93_000), "uptime_seconds": 93_000, "can_freeze": True, "frozen": None,
        "policy": {"hash": "4f1c09aa7b21", "loaded": ago(300), "services": 3, "routes": 11, "applied": 2, "refused": 0, "warnings": [], "error": None},
        "gateways": {"table": "pacer", "group": "prod", "id": "a", "live": 2, "leader": True, "lease": {"holder": "a", "age_seconds": 1.2}, "settled": True, "others": [], "errors": 0, "error": None},
        "history": {"place": "s3://state/pacer", "saved": ago(1), "error": None, "failures": 0, "steps_lost": 0, "records_damaged": 0},
        "credentials": {"usable": True, "expiry": None, "error": None},
        "flow": {"seconds": 5.0, "requests": 257.5, "classes": {"sprinter": {"lambda": 171.2, "container": 3.4, "none": 0.0}, "marathon": {"lambda": 2.9, "container": 80.0, "none": 0.0}},
                 "ran": {"lambda": 174.1, "container": 83.4, "none": 0.0}, "asked": {"lambda": 171.2, "container": 86.3, "none": 0.0}, "failed": 0.0, "cold": 0.4, "retries": 0.0, "gone": 0.0,
                 "spills": [{"from": "container", "why": "spill-slots-full", "rate": 2.4}, {"from": "container", "why": "queue-timeout", "rate": 0.5}], "in_flight": 31},
        "services_total": 3, "services": services,
        "decided": {"of": 500, "lines": [
            decision("POST /v1/recognise", 6, "marathon", "lambda", "spill-slots-full", 412.0, decided="lambda", ruled_out=["container:slots-full"]),
            decision("POST /v1/recognise", 241, "sprinter", "lambda", "learned", 88.0),
            decision("POST /v1/recognise", 132, "marathon", "container", "learned", 1420.0),
            decision("/thumb", 96, "sprinter", "lambda", "declared", 34.0, service="thumbnails"),
            decision("/v1/reports/*", 25, "marathon", "container", "hard-rule", 8300.0, service="reports", ruled_out=["lambda:absent"])]},
        "actions": [
            {"at": ago(1.4), "service": "recognise", "kind": "scale-out", "what": "tasks 4 -> 5", "why": "5 tasks: demand p54 = 15 busy slots at 14:32, break-even 48 %", "error": None},
            {"at": ago(6), "service": "recognise", "kind": "schedule", "what": "fallback of 2 tasks pushed to 14:45", "why": "should no gateway be left", "error": None},
            {"at": ago(11.5), "service": "reports", "kind": "scale-in", "what": "tasks 4 -> 3", "why": "3 tasks: held until 14:20; 2 would do", "error": None}],
        "radar": {"at": stamp(now), "frozen": None, "services": [
            {"service": "recognise", "level": "watch", "minutes": 41.0, "warnings": [
                {"kind": "capacity", "level": "watch", "minutes": 41.0, "says": "demand p90 reaches 22 slots at 15:12, 20 will be ready", "evidence": {"p90_slots": 22.1, "ready_slots": 20, "start_seconds": 80},
                 "action": {"state": "proposed", "says": "one task more, to be asked for at 15:10"}}],
             "error_budget": {"left": 0.87, "burn": {"1h": 0.2, "6h": 0.1}, "window": "30d"}, "ready_to_act": None},
            {"service": "reports", "level": "ok", "minutes": None, "warnings": [], "error_budget": {"left": 0.64, "burn": {"1h": 0.9, "6h": 0.7}, "window": "30d"}, "ready_to_act": None},
            {"service": "thumbnails", "level": "ok", "minutes": None, "warnings": [], "error_budget": None,
             "ready_to_act": {"ready": True, "says": "its forecasts held for 7 days, and it would have cost $1.20 a day less"}}]},
        "ledger": {"days": [
            day(now, 8.412, 3.6, 0.021), day(now - 86_400, 21.904, 9.872, 0.06), day(now - 2 * 86_400, 20.11, 8.4, 0.06)],
            "method": "list prices, no free tier; saved is against the cheaper of all-lambda and target-tracking for the same requests, simulated by the model of `pacer replay` beside the traffic"},
    }


def day(at, total, saved, own):
    return {"day": stamp(at)[:10], "total": total, "saved": saved, "own": own, "services": [
        {"service": "recognise", "cost": {"total": total * 0.8, "lambda": total * 0.3, "warm_up": 0.0, "container": total * 0.5, "idle": total * 0.12},
         "instead": {"all-lambda": total * 1.7, "target-tracking": (total + saved) * 0.8, "last-value": total * 0.9},
         "saved": {"usd": saved * 0.9, "against": "target-tracking"}, "estimated": 0.031},
        {"service": "reports", "cost": {"total": total * 0.2, "lambda": 0.0, "warm_up": 0.0, "container": total * 0.2, "idle": total * 0.05},
         "instead": {"all-lambda": total * 0.5, "target-tracking": (total + saved) * 0.2, "last-value": total * 0.22}, "saved": {"usd": saved * 0.1, "against": "target-tracking"}, "estimated": None}]}


def trouble():
    """A gateway with which several things are wrong."""
    snapshot = well()
    recognise = snapshot["services"][0]
    recognise["container"] |= {"ready": 2, "slots": 8, "busy": 8, "waiting": 14, "starting": 4}
    recognise["plan"] |= {"tasks": 6}
    recognise["minute"] |= {"failed": 310, "late": 1240, "p99_at_most_ms": 5000.0}
    recognise["failed"] = 5.2
    snapshot["flow"]["classes"]["marathon"] = {"lambda": 38.0, "container": 44.9, "none": 5.2}
    snapshot["flow"]["ran"] = {"lambda": 209.2, "container": 48.3, "none": 5.2}
    snapshot["flow"]["spills"] = [{"from": "container", "why": "spill-slots-full", "rate": 35.6}, {"from": "lambda", "why": "throttled", "rate": 3.1}]
    snapshot["services"][1]["not_acted_on"] = "ECS does not answer: ThrottlingException: Rate exceeded"
    snapshot["radar"]["services"][0]["warnings"] = [
        {"kind": "capacity", "level": "now", "minutes": 0.0, "says": "demand p90 is 26 slots, 8 are ready", "evidence": {"p90_slots": 26.0, "ready_slots": 8}, "action": {"state": "taken", "says": "4 tasks asked for at 14:29, ready by 14:31"}},
        {"kind": "error-budget", "level": "soon", "minutes": 38.0, "says": "at this rate the error budget of 30 days is gone in 38 minutes", "evidence": {"burn_1h": 31.0}, "action": {"state": "none", "says": ""}},
        {"kind": "throttles", "level": "soon", "minutes": 4.0, "says": "Lambda throttles 3.1 calls a second: the account has 200 of 1,000 left", "evidence": {"throttles_per_second": 3.1}, "action": {"state": "proposed", "says": "raise the account’s concurrency quota, or lower max_in_flight of thumbnails"}}]
    snapshot["decided"]["lines"].insert(0, decision("POST /v1/recognise", 18, "marathon", None, "refused", 2004.0, status=503, end="unavailable", spill="queue-timeout", ruled_out=["lambda:capped", "container:slots-full"]))
    return snapshot


def timeline(name):
    now = time.time()
    points = []
    for step in range(180):
        at = now - (179 - step) * 10
        wave = 9 + 5 * math.sin(step / 28) + 0.7 * math.sin(step * 1.7)
        ahead = 9 + 5 * math.sin((step + 8) / 28)
        planned = math.ceil((ahead + 2.4) / 4) + (1 if step % 60 > 45 else 0)
        ready = max(2, math.ceil((9 + 5 * math.sin((step - 1) / 28) + 2.4) / 4))
        points.append([int(at * 1000), int((at + 80) * 1000), round(max(0, wave), 2), round(ahead, 2), round(ahead * 1.28, 2), planned, ready, 0, ready * 4])
    marks = [(21, "scale-out", "tasks 4 -> 5", False), (9, "scale-in", "tasks 5 -> 4", False), (4, "scale-out", "tasks 4 -> 5", True)]
    return {"service": name, "slots_per_task": 4, "now_ms": int(now * 1000),
            "columns": ["at_ms", "due_ms", "demand", "expected", "p90", "planned_tasks", "ready_tasks", "starting_tasks", "slots"], "points": points,
            "actions": [{"at_ms": int((now - minutes * 60) * 1000), "kind": kind, "what": what, "failed": failed} for minutes, kind, what, failed in marks]}


def belief(cls, lane, reason, seen, p50, p95):
    return {"size": 0, "seen": seen, "mean_us": p50, "p50_us": p50, "p95_us": p95, "p_long": 0.1, "class": cls, "lane": lane, "reason": reason, "cost_lambda": "$0.0000021", "cost_container": "$0.0000009"}


def route(name, rate=0.0, of="recognise", beliefs=None, **more):
    made = {"name": name, "place": "policy.yaml:31", "service": of, "class": "auto", "lanes": ["lambda", "container"], "size_by": None,
            "beliefs": beliefs or [belief("sprinter", "lambda", "learned", 1204, 61_000, 240_000)], "forecast": None, "rate": rate, "failed": 0.0, "lambda": rate, "container": 0.0}
    return made | more


ROUTES = [
    route("POST /v1/recognise", 181.0, size_by={"header": "x-pixels"}, beliefs=[belief("sprinter", "lambda", "learned", 8121, 61_000, 240_000), belief("marathon", "container", "learned", 3120, 1_210_000, 4_100_000)]),
    route("/thumb", 61.0, "thumbnails", [belief("sprinter", "lambda", "declared", 3660, 31_000, 82_000)]),
    route("/v1/reports/*", 14.1, "reports", [belief("marathon", "container", "hard-rule", 846, 8_300_000, 21_000_000)]),
    route("/v1/recognise/batch", 1.4, "recognise", [belief("marathon", "container", "prior", 0, 0, 0)]),
]


class Gateway:
    """Serves on a port of the system's choice. Use it with `with`; set `snapshot`, `routes`, `every_s` at any time."""

    def __init__(self, snapshot=None, port=0):
        self.snapshot = snapshot or well()
        self.routes, self.every_s, self.sent, self.posts, self.token = list(ROUTES), 1.0, 0, [], None
        self.ending = threading.Event()
        self._wanted_port = port

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.get(self)

            def do_POST(self):
                outer.post(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                pass    # a browser that closed its page

        self._server = Server(("127.0.0.1", self._wanted_port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def get(self, request):
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if self.token and url.path.startswith("/live") and request.headers.get("authorization") != f"Bearer {self.token}":
            return self._json(request, {"detail": "a token is asked for"}, 401)
        if url.path == "/live":
            return self._live(request)
        if url.path == "/live/timeline":
            return self._json(request, timeline(query["service"]))
        if url.path == "/live/routes":
            return self._json(request, self._routes(query))
        file = FILES / ("index.html" if url.path == "/" else url.path.removeprefix("/page/"))
        if file.parent != FILES or not file.is_file():
            return self._json(request, {"detail": "nothing is served here"}, 404)
        return self._answer(request, 200, KINDS[file.suffix], file.read_bytes())

    def post(self, request):
        body = request.rfile.read(int(request.headers["content-length"]))
        self.posts.append((request.path, request.headers["content-type"], json.loads(body)))
        freezes = request.path == "/freeze"
        self.snapshot["frozen"] = {"since": stamp(time.time()), "by": "operator", "reason": json.loads(body)["reason"]} if freezes else None
        self._json(request, {"frozen": self.snapshot["frozen"]})

    def _routes(self, query):
        find, page = query.get("find", "").lower(), int(query.get("page", 0))
        found = [one for one in self.routes if find in one["name"].lower() or find in one["service"].lower()]
        found.sort(key={"name": lambda one: one["name"], "rate": lambda one: -one["rate"]}.get(query.get("sort"), lambda one: 0))
        pages = max(1, math.ceil(len(found) / 20))
        page = min(page, pages - 1)
        return {"total": len(self.routes), "found": len(found), "page": page, "pages": pages, "rows": found[page * 20:][:20]}

    def _live(self, request):
        request.send_response(200)
        request.send_header("content-type", "text/event-stream")
        request.send_header("connection", "close")
        request.end_headers()
        request.close_connection = True
        while not self.ending.is_set():
            snapshot = copy.copy(self.snapshot)
            snapshot["at"] = stamp(time.time())
            request.wfile.write(b"data: " + json.dumps(snapshot).encode() + b"\n\n")
            self.sent += 1
            self.ending.wait(self.every_s)

    def _json(self, request, value, status=200):
        self._answer(request, status, "application/json", json.dumps(value).encode())

    def _answer(self, request, status, kind, body):
        request.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(len(body))), ("content-security-policy", POLICY)):
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
