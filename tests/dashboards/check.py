#!/usr/bin/env python3
"""Checks that every query of the dashboards, rules and alerts can return something.

A query that names a metric or label that does not exist is not an error for Prometheus: the panel stays empty and the
alert silent, for ever. So each query is parsed and held against the declarations in router/src/telemetry.rs: names,
labels, label values, counters only under rate(), and labels that both sides of an operator must share. Standard
library only; whether Prometheus agrees is asked of `promtool` where it is on PATH.

    tests/dashboards/check.py            exit status 0: all passed
"""

import importlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.dont_write_bytecode = True    # before the import: a check leaves nothing behind in the tree

from promql import Metric, QueryError, labels_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "dashboards"
RUNBOOKS = ROOT / "docs/runbooks"
RUNBOOK_PARTS = ["What it means", "How to see it", "What to do", "How to stop Pacer acting"]
TELEMETRY = ROOT / "router/src/telemetry.rs"

# What Prometheus adds to every series it scrapes, and the one series it makes by itself.
TARGET = frozenset({"job", "instance"})
UP = Metric("gauge", TARGET)
# And what it makes of alerts: the labels of ours, those of the alert itself among them.
ALERTS = Metric("gauge", TARGET | {"alertname", "alertstate", "severity", "service"})

# Panels that show no number of their own.
UNITLESS = {"row", "text"}


def declared():
    """Returns the metrics that telemetry.rs declares, by name."""
    source = TELEMETRY.read_text()
    block = source[source.index("\nmetrics! {") :]
    block = block[: block.index("\n}\n")]
    short = re.findall(r'= (counter|gauge)\(\s*"(\w+)",\s*&\[([^\]]*)\]', block)
    long = re.findall(r'= Metric \{\s*name: "(\w+)",\s*kind: Kind::(\w+),\s*labels: &\[([^\]]*)\]', block)
    found = short + [(kind.lower(), name, labels) for name, kind, labels in long]
    names = re.findall(r"^    [A-Z_]+ = ", block, re.MULTILINE)
    if not found or len(found) != len(names):
        raise SystemExit(f"{TELEMETRY}: {len(names)} metrics are declared and {len(found)} were understood; teach declared()")
    metrics = {"up": UP, "ALERTS": ALERTS}
    for kind, name, labels in found:
        metric = Metric(kind, frozenset(re.findall(r'"(\w+)"', labels)) | TARGET)
        if kind == "histogram":
            metrics[f"{name}_bucket"] = Metric("counter", metric.labels | {"le"})
            metrics[f"{name}_sum"] = metrics[f"{name}_count"] = Metric("counter", metric.labels)
        else:
            metrics[name] = metric
    return metrics


def label_values():
    """Returns the values of the labels that have a closed set of them, read from the enums that they come from."""

    def names(path, after):
        text = (ROOT / path).read_text()
        text = text[text.index(after) :]
        found = re.findall(r'=> "([^"]+)"', text[: text.index("\n}\n")])
        if not found:
            raise SystemExit(f"{path}: no names after `{after}`; teach label_values()")
        return set(found)

    def listed(path, constant):
        found = re.search(rf"const {constant}[^=]*=\s*\[([^\]]*)\]", (ROOT / path).read_text())
        return set(re.findall(r'"([^"]+)"', found[1]))

    lanes = names("policies/src/decide.rs", "impl Lane {")
    return {
        "code": listed("router/src/telemetry/exposition.rs", "CODES"),
        "lane": lanes | {"none"},
        "from": lanes,
        "reason": names("policies/src/decide/reason.rs", "impl Reason {"),
        "cause": names("predictor/src/outcome.rs", "impl Spill {"),
        "end": names("predictor/src/outcome.rs", "impl End {"),
        "state": names("router/src/telemetry/exposition.rs", "fn state_name("),
        "pacer_lambda_state.state": names("router/src/control/functions/known.rs", "impl State {"),
        "pacer_actions_total.kind": listed("router/src/control/act/deeds.rs", "KINDS"),
        "objective": {"latency", "success"},
        "warning": names("predictor/src/radar.rs", "impl Kind {"),
        "window": listed("router/src/telemetry/exposition/radar.rs", "WINDOWS"),
        "as": names("router/src/ledger/row.rs", "impl Instead {"),
        "alertstate": {"pending", "firing"},
    }


@dataclass(frozen=True)
class Rule:
    """One recording or alerting rule."""

    name: str
    expr: str = ""
    alert: bool = False
    text: str = ""


def rules(path):
    """Reads a rules file. Not a YAML reader: it knows the shape that these files keep, and refuses another."""
    lines = path.read_text().splitlines()
    found, at = [], 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if head := re.fullmatch(r"      - (record|alert): (\S+)", line):
            found.append(Rule(head[2], alert=head[1] == "alert"))
        elif body := re.fullmatch(r"        expr: (.+)", line):
            expr = body[1]
            if expr == "|":
                block = []
                while at < len(lines) and lines[at].startswith("          "):
                    block.append(lines[at].strip())
                    at += 1
                expr = "\n".join(block)
            found[-1] = replace(found[-1], expr=expr)
        elif re.match(r"        (  )?\w+:", line) and found:
            found[-1] = replace(found[-1], text=found[-1].text + line + "\n")
        elif not re.fullmatch(r"|\s*#.*|groups:|  - name: \S+|    rules:", line):
            raise ValueError(f"{path.name}:{at}: a line of a shape that this check does not read: {line!r}")
    if unread := [rule.name for rule in found if not rule.expr]:
        raise ValueError(f"{path.name}: no expr is read of {unread}")
    return found


class Checks:
    """Counts what passed, and prints what did not."""

    def __init__(self, metrics, values):
        self.metrics, self.values = dict(metrics), values
        self.passed = self.failed = 0

    def check(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}")

    def query(self, expr, where):
        """Checks one query; returns the labels of what it yields, or None when it is wrong."""
        try:
            labels = labels_of(expr, self.metrics, self.values)
        except QueryError as error:
            self.check(False, f"{where}: {error}\n    {expr}")
            return None
        self.check(True, where)
        return labels

    def rules(self, path):
        for rule in rules(path):
            where = f"{path.name} {rule.name}"
            labels = self.query(rule.expr, where)
            if labels is None:
                continue
            if not rule.alert:
                self.metrics[rule.name] = Metric("gauge", labels)
                continue
            used = set(re.findall(r"\$labels\.(\w+)", rule.text))
            self.check(used <= labels, f"{where}: its text names {sorted(used - labels)}, and its query yields {sorted(labels)}")
            for part in ("severity:", "summary:", "description:", "for:"):
                self.check(part in rule.text, f"{where}: no `{part}`")
            self.runbook(rule, where)
            tested = (path.parent / "tests.yml").read_text()
            fires = re.search(rf"alertname: {rule.name}\n\s+eval_time: \w+\n\s+exp_alerts:\n", tested)
            self.check(fires, f"{where}: no scenario of tests.yml makes it fire")

    def runbook(self, rule, where):
        """Checks that an alert leads to a page that says what is to be known at night."""
        page = RUNBOOKS / f"{rule.name}.md"
        self.check(f"runbook: {page.relative_to(ROOT)}" in rule.text, f"{where}: no `runbook: {page.relative_to(ROOT)}`")
        parts = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE) if page.exists() else []
        self.check(parts == RUNBOOK_PARTS, f"{page.name}: has the parts {parts}, not {RUNBOOK_PARTS}")
        self.check(f"[{rule.name}]({rule.name}.md)" in (RUNBOOKS / "README.md").read_text(), f"{page.name}: not in the list of runbooks")

    def links(self):
        """Checks that runbooks lead to what is there: pages, dashboards and their panels."""
        titles = {}
        for path in (DASHBOARDS / "grafana").glob("*.json"):
            board = json.loads(path.read_text())
            titles[board["title"]] = [panel["title"] for panel in board["panels"]]
        alerts = {rule.name for rule in rules(DASHBOARDS / "prometheus/alerts.yml")}
        for page in RUNBOOKS.glob("*.md"):
            text = page.read_text()
            self.check(page.stem == "README" or page.stem in alerts, f"{page.name}: of no alert")
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
                self.check((RUNBOOKS / target).exists(), f"{page.name}: leads to {target}, which is not there")
            # `*Pacer / Lanes*, Slots and ...`: the first panel that is named right after its dashboard.
            for title, named in re.findall(r"\*(Pacer / \w+)\*,\s+([^,.:*]+)", text):
                known = any(named.startswith(panel) for panel in titles.get(title, []))
                self.check(known, f"{page.name}: no panel of {title} is called `{named}`")
            for title in re.findall(r"\*(Pacer / \w+)\*", text):
                self.check(title in titles, f"{page.name}: no dashboard {title}")
        for board in (DASHBOARDS / "grafana").glob("*.json"):
            for named in re.findall(r"docs/runbooks/(\w+)\.md", board.read_text()):
                self.check((RUNBOOKS / f"{named}.md").exists(), f"{board.name}: leads to {named}.md, which is not there")

    def dashboard(self, path):
        try:
            board = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            self.check(False, f"{path.name}: {error}")
            return
        panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]
        ids = [panel["id"] for panel in panels]
        self.check(len(ids) == len(set(ids)), f"{path.name}: panel ids are not unique: {sorted(ids)}")
        self.check(board.get("uid") and board.get("title"), f"{path.name}: no uid or no title")
        variables = {variable["name"]: variable for variable in board["templating"]["list"]}
        for name, variable in variables.items():
            self.variable(f"{path.name} ${name}", variable)
        for panel in panels:
            self.panel(f"{path.name} panel {panel['id']} {panel.get('title', '')!r}", panel)
        for note in board["annotations"]["list"]:
            if "expr" in note:
                self.query(note["expr"], f"{path.name} annotation {note['name']!r}")
        used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(board)))
        self.check(used <= variables.keys(), f"{path.name}: variables that are not there: {sorted(used - variables.keys())}")
        self.check(variables.keys() <= used, f"{path.name}: variables that nothing uses: {sorted(variables.keys() - used)}")
        self.overlaps(path.name, board["panels"])

    def variable(self, where, variable):
        self.check(variable.get("description"), f"{where}: no description")
        if variable["type"] != "query":
            return
        query = variable["query"]["query"]
        if computed := re.fullmatch(r"query_result\((.+)\)", query):
            self.query(computed[1], where)
            self.check(re.match("/.+/$", variable["regex"]), f"{where}: no regex that takes a value out of the result")
            return
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        self.check(asked, f"{where}: neither label_values(selector, label) nor query_result(query)")
        if asked:
            # As the argument of group(), because a counter that is not under rate() is refused elsewhere.
            labels = self.query(f"group by ({asked[2]}) ({asked[1]})", where)
            self.check(labels is None or asked[2] in labels, f"{where}: {asked[1]} has no label {asked[2]}")

    def panel(self, where, panel):
        self.check(panel.get("title"), f"{where}: no title")
        if panel["type"] in UNITLESS:
            return
        self.check(panel.get("description"), f"{where}: no description")
        self.check(panel.get("fieldConfig", {}).get("defaults", {}).get("unit"), f"{where}: no unit")
        self.check(panel["datasource"].get("uid") == "${datasource}", f"{where}: its data source is not the variable")
        self.check(panel.get("targets"), f"{where}: no query")
        refs = [target["refId"] for target in panel["targets"]]
        self.check(len(refs) == len(set(refs)), f"{where}: refIds are not unique: {refs}")
        for target in panel["targets"]:
            labels = self.query(target["expr"], f"{where} {target['refId']}")
            if labels is not None:
                named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", "")))
                self.check(named <= labels, f"{where}: its legend names {sorted(named - labels)}, and its query yields {sorted(labels)}")

    def overlaps(self, where, panels):
        taken = {}
        for panel in panels:
            at = panel["gridPos"]
            self.check(at["x"] + at["w"] <= 24, f"{where}: panel {panel['id']} is wider than the grid's 24 columns")
            for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
                other = taken.setdefault(cell, panel["id"])
                if other != panel["id"]:
                    self.check(False, f"{where}: panels {other} and {panel['id']} overlap at {cell}")
                    return
        self.check(True, where)

    def refuses(self, expr, because):
        """Checks the check: `expr` is wrong, and must be found to be."""
        try:
            labels_of(expr, self.metrics, self.values)
        except QueryError as error:
            self.check(because in str(error), f"self-test: {expr!r} was refused for another reason: {error}")
        else:
            self.check(False, f"self-test: {expr!r} was not refused")

    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], cwd=DASHBOARDS / "prometheus", capture_output=True, text=True)
        self.check(done.returncode == 0, f"promtool {' '.join(arguments)}\n{done.stdout}{done.stderr}")


def main():
    checks = Checks(declared(), label_values())

    checks.refuses("pacer_nonsense", "no metric")
    checks.refuses("sum(rate(pacer_requests_total{shard='1'}[5m]))", "no label `shard`")
    checks.refuses('pacer_tasks{state="unprooven"}', "never has the value")
    checks.refuses('pacer_tasks{state=~"ready|gone"}', "never has the value")
    checks.refuses('sum(rate(pacer_decisions_total{reason=~"spills-.*"}[5m]))', "never has the value")
    checks.refuses("sum by (route) (pacer_tasks)", "no label `route`")
    checks.refuses("sum(pacer_tasks) by (route)", "no label `route`")
    checks.refuses("sum(pacer_requests_total)", "counter")
    checks.refuses("rate(pacer_tasks[5m])", "gauge")
    checks.refuses("pacer_slots_busy / pacer_tasks", "never match")
    checks.refuses("pacer_slots > on (route) pacer_slots_busy", "no label `route`")
    checks.refuses("histogram_quantile(0.99, sum by (route) (rate(pacer_request_duration_seconds_bucket[5m])))", "`le`")
    checks.refuses("sum(rate(pacer_request_duration_seconds[5m]))", "no metric")
    checks.refuses("sum(pacer_tasks", "ends")
    checks.refuses("sum(pacer_tasks) )", "after the query")

    for name in ("rules.yml", "alerts.yml"):    # in this order: alerts read what the rules record
        checks.rules(DASHBOARDS / "prometheus" / name)
    sys.path.insert(0, str(DASHBOARDS / "grafana"))
    for name in importlib.import_module("generate").stale():
        checks.check(False, f"{name} is not what dashboards/grafana/source says: run dashboards/grafana/generate.py")
    boards = sorted((DASHBOARDS / "grafana").glob("*.json"))
    checks.check(boards, "no dashboard in dashboards/grafana")
    for path in boards:
        checks.dashboard(path)
    checks.links()

    if shutil.which("promtool"):
        checks.promtool("check", "config", "prometheus.yml")
        checks.promtool("check", "rules", "rules.yml", "alerts.yml")
        checks.promtool("test", "rules", "tests.yml")
    else:
        print("promtool is not on PATH (Debian package prometheus): its checks are left out")

    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
