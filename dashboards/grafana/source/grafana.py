"""Parts of a dashboard in Grafana's JSON, with the choices that all dashboards here share.

Nothing of Pacer is known here. A panel says what it shows and leaves its place to the board; its id comes from its
title, so that a panel that is added moves no other panel's address.
"""

import zlib

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
PLAIN = [(GREEN, None)]


def _steps(limits):
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in limits]}


def _targets(queries, **how):
    """Makes targets of `expr` or `(expr, legend)`."""
    found = []
    for place, query in enumerate(queries):
        expr, legend = query if isinstance(query, tuple) else (query, "")
        found.append({
            "refId": chr(ord("A") + place),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": " ".join(expr.split()),
            "legendFormat": legend,
            "instant": bool(how.get("instant")),
            "range": not how.get("instant"),
            **({"format": how["format"]} if "format" in how else {}),
        })
    return found


def _panel(kind, title, about, defaults, options, targets, overrides=(), **more):
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
        "options": options,
        "targets": targets,
        **more,
    }


def named(name, **properties):
    """Overrides properties of the field or series `name`."""
    found = [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": found}


def colored(**colors):
    """Fixes the colour of series by name; `_` stands for a hyphen."""
    return [named(name.replace("_", "-"), color={"mode": "fixed", "fixedColor": color}) for name, color in colors.items()]


def dashed(pattern, color):
    """Draws the series whose names match as a dashed line without area: a bound, not a measurement."""
    return {
        "matcher": {"id": "byRegexp", "options": f"/{pattern}/"},
        "properties": [
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}},
            {"id": "color", "value": {"mode": "fixed", "fixedColor": color}},
        ],
    }


def lines(title, about, unit, *queries, stack=False, bars=False, low=0, high=None, limits=PLAIN, shown="off", calcs=("mean", "max"),
          overrides=(), interval=None, decimals=None):
    """A time series. `limits` are drawn as `shown` says: off, dashed or area."""
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 80 if bars else 50 if stack else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "axisPlacement": "auto",
        "scaleDistribution": {"type": "linear"},
        "thresholdsStyle": {"mode": shown},
    }
    defaults = {"color": {"mode": "palette-classic"}, "custom": custom, "unit": unit, "thresholds": _steps(limits)}
    defaults |= {key: value for key, value in (("min", low), ("max", high), ("decimals", decimals)) if value is not None}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": list(calcs)},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more = {"interval": interval} if interval else {}
    return _panel("timeseries", title, about, defaults, options, _targets(queries), overrides, **more)


def stat(title, about, unit, *queries, limits=PLAIN, decimals=None, spark=True, text="auto", calc="lastNotNull", fill=False, mappings=(),
         nothing=None, instant=False):
    """Large numbers: one a series. `calc` makes one of what each series was over the time shown."""
    defaults = {"color": {"mode": "thresholds"}, "unit": unit, "thresholds": _steps(limits), "mappings": list(mappings)}
    defaults |= {key: value for key, value in (("decimals", decimals), ("noValue", nothing)) if value is not None}
    options = {
        "colorMode": "background" if fill else "value",
        "graphMode": "area" if spark and not instant else "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": text,
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": [calc], "fields": "", "values": False},
    }
    return _panel("stat", title, about, defaults, options, _targets(queries, instant=instant))


def gauges(title, about, unit, *queries, limits=PLAIN, low=0, high=1, decimals=None):
    """A bar a series, of what it is now."""
    defaults = {"color": {"mode": "thresholds"}, "unit": unit, "min": low, "thresholds": _steps(limits)}
    defaults |= {key: value for key, value in (("max", high), ("decimals", decimals)) if value is not None}
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizWidth": 8,
        "minVizHeight": 16,
        "maxVizHeight": 300,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("bargauge", title, about, defaults, options, _targets(queries, instant=True))


def column(expr, name, unit="short", *, decimals=None, limits=None):
    """A column of a table, as `table` takes it: limits colour its cells."""
    return {"expr": expr, "name": name, "unit": unit, "decimals": decimals, "limits": limits}


def table(title, about, *columns, sort, hidden=(), links=None, descending=True):
    """A row for each combination of the labels that all columns share. `links` are addresses by the label they hang on."""
    overrides = [named("Time", custom__hidden=True), *(named(name, custom__hidden=True) for name in hidden)]
    for place, each in enumerate(columns):
        properties = {"displayName": each["name"], "unit": each["unit"]}
        if each["decimals"] is not None:
            properties["decimals"] = each["decimals"]
        if each["limits"]:
            properties |= {"thresholds": _steps(each["limits"]), "custom__cellOptions": {"type": "color-text"}, "color": {"mode": "thresholds"}}
        # One query alone keeps the plain name.
        overrides.append(named(f"Value #{chr(ord('A') + place)}" if 1 < len(columns) else "Value", **properties))
    for label, (text, url) in (links or {}).items():
        overrides.append(named(label, links=[{"title": text, "url": url, "targetBlank": False}]))
    defaults = {
        "unit": "short",
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True},
        "thresholds": _steps(PLAIN),
    }
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": sort, "desc": descending}]}
    targets = _targets([each["expr"] for each in columns], instant=True, format="table")
    transformations = [{"id": "merge", "options": {}}] if 1 < len(columns) else []
    return _panel("table", title, about, defaults, options, targets, overrides, transformations=transformations)


def states(title, about, *queries, mappings, limits=PLAIN, unit="none", show="auto"):
    """What state something was in, over time."""
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": _steps(limits),
        "custom": {"fillOpacity": 70, "lineWidth": 0},
        "mappings": list(mappings),
    }
    options = {
        "mergeValues": True,
        "showValue": show,
        "alignValue": "center",
        "rowHeight": 0.8,
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel("state-timeline", title, about, defaults, options, _targets(queries))


def heatmap(title, about, unit, query):
    """Buckets of a histogram over time."""
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "reqps"},
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5, "steps": 64, "reverse": False},
        "filterValues": {"le": 1e-09},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
    }
    custom = {"scaleDistribution": {"type": "linear"}, "hideFrom": {"legend": False, "tooltip": False, "viz": False}}
    return _panel("heatmap", title, about, {"unit": "reqps", "custom": custom}, options, _targets([(query, "{{le}}")], format="heatmap"))


def words(**of):
    """Shows values as words: `words(v0=("down", RED), v1=("up", GREEN))`."""
    options = {key[1:]: {"text": text, "color": color, "index": place} for place, (key, (text, color)) in enumerate(of.items())}
    return [{"type": "value", "options": options}]


def data_source():
    """The variable by which every query finds its Prometheus."""
    return {
        "name": "datasource", "label": "Data source", "description": "The Prometheus that scrapes Pacer.", "type": "datasource",
        "query": "prometheus", "regex": "", "refresh": 1, "multi": False, "includeAll": False, "hide": 0, "skipUrlSync": False,
        "options": [], "current": {},
    }


def variable(name, label, about, query, *, regex="", many=True, all_value=".+", hide=0):
    """A variable whose values Prometheus knows."""
    found = {
        "name": name, "label": label, "description": about, "type": "query", "datasource": DATASOURCE,
        "query": {"qryType": 1 if query.startswith("label_values") else 3, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "definition": query, "refresh": 2, "sort": 1, "regex": regex, "multi": many, "includeAll": many, "hide": hide,
        "skipUrlSync": False, "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if many else {},
    }
    if many and all_value:
        found["allValue"] = all_value
    return found


def moments(name, about, color, expr, title, text, *, at_value=False, step="60s"):
    """An annotation: at the times when `expr` yields something, or at the times (in ms) that its values are."""
    return {
        "datasource": DATASOURCE, "enable": True, "hide": False, "iconColor": color, "name": name, "expr": " ".join(expr.split()), "step": step,
        "titleFormat": title, "textFormat": text, "useValueForTime": at_value, "tagKeys": about,
    }


class Board:
    """A dashboard; panels are placed in lines from left to right, top to bottom."""

    COLUMNS = 24

    def __init__(self, uid, title, about, *, variables, annotations, since="now-1h", refresh="30s"):
        self.uid, self.title, self.about = uid, title, about
        self.variables, self.annotations = variables, annotations
        self.since, self.refresh = since, refresh
        self.panels, self.bottom = [], 0

    def row(self, title):
        """Begins a part with a heading."""
        self._place({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, self.COLUMNS, 1)
        self.bottom += 1

    def line(self, height, *panels):
        """Adds panels of equal height side by side, each as `(width, panel)`; together they fill the line."""
        at = 0
        for width, panel in panels:
            self._place(panel, at, width, height)
            at += width
        if at != self.COLUMNS:
            raise ValueError(f"{self.uid}: the line of {panels[0][1]['title']!r} is {at} columns wide")
        self.bottom += height

    def _place(self, panel, left, width, height):
        # Unique within the board, which check.py sees to; the same for as long as the title is.
        number = zlib.crc32(panel["title"].encode()) % 1_000_000
        self.panels.append({"id": number, "gridPos": {"h": height, "w": width, "x": left, "y": self.bottom}, **panel})

    def json(self):
        """Returns it as Grafana reads it."""
        built_in = {
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
        }
        others = {
            "type": "dashboards", "title": "Pacer", "tags": ["pacer"], "icon": "external link", "tooltip": "Pacer's other dashboards",
            "url": "", "asDropdown": False, "includeVars": True, "keepTime": True, "targetBlank": False,
        }
        return {
            "uid": self.uid, "title": self.title, "description": self.about, "tags": ["pacer"],
            "schemaVersion": 41, "version": 1, "editable": True, "graphTooltip": 1, "fiscalYearStartMonth": 0, "liveNow": False,
            "preload": False, "timezone": "browser", "weekStart": "", "refresh": self.refresh,
            "time": {"from": self.since, "to": "now"}, "timepicker": {}, "links": [others],
            "annotations": {"list": [built_in, *self.annotations]},
            "templating": {"list": [data_source(), *self.variables]},
            "panels": self.panels,
        }
