#!/usr/bin/env python3
"""Holds the dashboards against Grafana's published schema: the classes of its foundation SDK (PyPI), made from that schema.

The SDK itself reads anything: a key that it does not know is dropped without a word, a value of another type is kept. So each
dashboard is read into its classes and written again, and must come back whole; and each value is held against the type that
its class declares. Panels are read with the classes of their own plugin, queries with those of Prometheus.

    target/venv-dashboards/bin/python tests/dashboards/schema.py
"""

import enum
import json
import sys
import types
import typing
from pathlib import Path

from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models import dashboard, units

GRAFANA = Path(__file__).resolve().parents[2] / "dashboards/grafana"
# Keys that Grafana reads and this schema does not name: what its Prometheus data source keeps beside an annotation's query, and
# the text of a variable's query that lists of variables show.
BESIDE = {"step", "titleFormat", "textFormat", "useValueForTime", "tagKeys", "definition"}


def plain(value):
    """Returns a value of the SDK as JSON would hold it."""
    return json.loads(json.dumps(value, cls=encoder.JSONEncoder))


def lost(before, after, at=""):
    """Yields the places of what is in `before` and not, or not the same, in `after`."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key not in after:
                # An absent key and null are one to Grafana.
                if value is not None and key not in BESIDE:
                    yield f"{at}.{key}", "is not in the schema"
            else:
                yield from lost(value, after[key], f"{at}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{at}[{place}]")
    elif before != after:
        yield at, f"{before!r} is read as {after!r}"


def wrong(value, hint, at):
    """Yields the places where a value is not of the type that is declared for it."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in (typing.Any, object) or value is None:
        return
    if origin in (typing.Union, types.UnionType):
        tries = [list(wrong(value, each, at)) for each in inner if each is not type(None)]
        yield from min(tries, key=len, default=[])
    elif origin is typing.Literal:
        if value not in inner:
            yield at, f"{value!r} is none of {inner}"
    elif origin is list:
        if not isinstance(value, list):
            yield at, f"{value!r} is no list"
            return
        for place, each in enumerate(value):
            yield from wrong(each, inner[0], f"{at}[{place}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield at, f"{value!r} is no object"
            return
        for key, each in value.items():
            yield from wrong(each, inner[1], f"{at}.{key}")
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        if value not in [each.value for each in hint]:
            yield at, f"{value!r} is none of {[each.value for each in hint]}"
    elif isinstance(hint, type) and hasattr(hint, "from_json"):
        yield from of_class(value, hint, at)
    elif hint is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield at, f"{value!r} is no number"
    elif isinstance(hint, type) and (not isinstance(value, hint) or isinstance(value, bool) and hint is int):
        yield at, f"{value!r} is no {hint.__name__}"


def of_class(value, hint, at):
    """The same for a value of a class of the SDK, or one that it has left as it was read."""
    if isinstance(value, dict):
        read = hint.from_json(value)
        yield from lost(value, plain(read), at)
        value = read
    # A base class stands for any of its plugins.
    if not isinstance(value, hint):
        yield at, f"{type(value).__name__} is no {hint.__name__}"
        return
    for name, declared in typing.get_type_hints(type(value)).items():
        yield from wrong(getattr(value, name, None), declared, f"{at}.{name}")
    # What a plugin declares, and the panel's class does not know.
    for name in ("options", "custom"):
        inner = getattr(value, name, None)
        if hasattr(inner, "to_json"):
            yield from of_class(inner, type(inner), f"{at}.{name}")


def problems(board):
    """Returns what is wrong with a dashboard, as (place, what)."""
    read = dashboard.Dashboard.from_json(board)
    found = [*lost(board, plain(read)), *of_class(read, dashboard.Dashboard, "")]
    known = {unit.value for unit in units.__dict__.values() if isinstance(unit, enum.Enum)} | set(
        value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_"))
    for place, panel in enumerate(board["panels"]):
        if panel["type"] == "row":
            continue
        settings = panel["fieldConfig"]
        used = [settings["defaults"]["unit"]]
        used += [each["value"] for override in settings["overrides"] for each in override["properties"] if each["id"] == "unit"]
        found += [(f".panels[{place}]", f"no unit `{unit}`") for unit in used if unit not in known]
    return list(dict.fromkeys(found))


def can_fail(board):
    """Checks the check: each of these must be found to be wrong."""
    failed = []

    def refused(what, change):
        spoilt = json.loads(json.dumps(board))
        panels = [panel for panel in spoilt["panels"] if panel["type"] == "stat"]
        change(spoilt, panels[0])
        if not problems(spoilt):
            failed.append(f"self-test: {what} was not found")

    refused("an unknown key of a board", lambda board, panel: board.update(tittle="x"))
    refused("an unknown option", lambda board, panel: panel["options"].update(colourMode="value"))
    refused("an unknown choice", lambda board, panel: panel["options"].update(colorMode="loud"))
    refused("a number as text", lambda board, panel: panel["gridPos"].update(w="4"))
    refused("an unknown key of a query", lambda board, panel: panel["targets"][0].update(query="up"))
    refused("an unknown unit", lambda board, panel: panel["fieldConfig"]["defaults"].update(unit="percents"))
    return failed


def main():
    plugins.register_default_plugins()
    paths = sorted(GRAFANA.glob("*.json"))
    failed = [] if paths else [f"no dashboard in {GRAFANA}"]
    for path in paths:
        board = json.loads(path.read_text())
        failed += [f"{path.name}{at}: {what}" for at, what in problems(board)]
    failed += can_fail(json.loads(paths[0].read_text()))
    for line in failed:
        print(f"FAILED {line}")
    print(f"{len(paths)} dashboards against Grafana's schema: {'ok' if not failed else f'{len(failed)} problems'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
