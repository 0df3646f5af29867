"""Reads PromQL as far as is needed to tell which labels a query yields, and what in it cannot be.

Only the language that the dashboards use is known; anything else is refused rather than passed over. Stricter than
Prometheus where Prometheus would answer with nothing: vectors that share no labels, counters without rate().
"""

import re
from dataclasses import dataclass


class QueryError(Exception):
    """Why a query cannot be right."""


@dataclass(frozen=True)
class Metric:
    """A metric as declared: "counter" or "gauge", and its labels with those of the target."""

    kind: str
    labels: frozenset


@dataclass(frozen=True)
class Value:
    """What a part of a query yields."""

    labels: frozenset = frozenset()
    scalar: bool = False
    counter: bool = False    # growing without end: only good under rate() and the like
    ranged: bool = False
    text: str = ""    # of a string


SCALAR = Value(scalar=True)

OF_COUNTERS = {"rate", "irate", "increase", "resets"}
OF_GAUGES = {"avg_over_time", "max_over_time", "min_over_time", "sum_over_time", "changes", "delta", "deriv"}
PLAIN = {"abs", "ceil", "floor", "round", "sort", "sort_desc", "clamp_min", "clamp_max"}
AGGREGATES = {"sum", "avg", "min", "max", "count", "group", "topk", "bottomk", "quantile"}
WITH_PARAMETER = {"topk", "bottomk", "quantile"}
COMPARISONS = {"==", "!=", "<", ">", "<=", ">="}
SETS = {"and", "or", "unless"}
# From what binds least to what binds most (Prometheus documentation, "Binary operator precedence").
PRECEDENCE = [{"or"}, {"and", "unless"}, COMPARISONS, {"+", "-"}, {"*", "/", "%"}]

TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<range>\[[^\]]*\])
    | (?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)
    | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*|\$\{\w+\}[smhd]|\$__range)
    | (?P<sign>=~|!~|==|!=|<=|>=|[-+*/%<>=(){},])
    )""",
    re.VERBOSE,
)
OFFSET = re.compile(r"\d+[smhd]|\$\{\w+\}[smhd]|\$__range")
RANGE = re.compile(r"\[(\d+[smhd]|\$__rate_interval|\$__range|\$__interval)\]")


def labels_of(expr, metrics, values):
    """Returns the labels of what `expr` yields; raises QueryError when it is wrong."""
    reader = _Reader(expr, metrics, values)
    value = reader.binary(0)
    if reader.peek() is not None:
        raise QueryError(f"`{reader.peek()}` comes after the query's end")
    return _whole(value).labels


def _whole(value):
    """Refuses what may not be shown, added or compared."""
    if value.counter:
        raise QueryError("a counter is used without rate() or increase()")
    if value.ranged:
        raise QueryError("a range is used without a function over it")
    return value


def _has(value, labels, where):
    for label in sorted(labels):
        if label not in value.labels:
            raise QueryError(f"{where}: no label `{label}`; there are {sorted(value.labels)}")


class _Reader:
    def __init__(self, text, metrics, values):
        self.metrics, self.values = metrics, values
        self.tokens, self.at = [], 0
        at = 0
        while text[at:].strip():
            match = TOKEN.match(text, at)
            if not match:
                raise QueryError(f"cannot read `{text[at : at + 20]}`")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def peek(self):
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def kind(self):
        return self.tokens[self.at][0] if self.at < len(self.tokens) else None

    def take(self, expected=None):
        token = self.peek()
        if token is None:
            raise QueryError(f"the query ends where {expected or 'more'} is expected")
        if expected is not None and token != expected:
            raise QueryError(f"`{token}` where `{expected}` is expected")
        self.at += 1
        return token

    def binary(self, level):
        if level == len(PRECEDENCE):
            return self.unary()
        left = self.binary(level + 1)
        while self.peek() in PRECEDENCE[level] and self.kind() != "string":
            operator = self.take()
            if self.peek() == "bool":
                self.take()
            matching, group = None, None
            if self.peek() in ("on", "ignoring"):
                matching = (self.take(), self.names())
                if self.peek() in ("group_left", "group_right"):
                    group = (self.take(), self.names() if self.peek() == "(" else frozenset())
            right = self.binary(level + 1)
            left = self.joined(operator, _whole(left), _whole(right), matching, group)
        return left

    def joined(self, operator, left, right, matching, group):
        if left.scalar or right.scalar:
            if operator in SETS:
                raise QueryError(f"`{operator}` joins vectors, not numbers")
            return left if right.scalar else right
        if matching is None:
            shared = left.labels
            if left.labels != right.labels:
                raise QueryError(f"`{operator}` can never match {sorted(left.labels)} with {sorted(right.labels)}")
        elif matching[0] == "on":
            shared = matching[1]
            _has(left, shared, f"left of `{operator}`")
            _has(right, shared, f"right of `{operator}`")
        else:
            shared = left.labels - matching[1]
            if group is None and shared != right.labels - matching[1]:
                raise QueryError(f"`{operator}` can never match {sorted(left.labels)} with {sorted(right.labels)}")
        if operator in SETS:
            # What is joined without labels in common stands for what is not there: it may have any.
            return Value(labels=left.labels | right.labels) if operator == "or" and not shared else left
        if group is None:
            return Value(labels=frozenset(shared))
        many, one = (left, right) if group[0] == "group_left" else (right, left)
        _has(one, group[1], group[0])
        return Value(labels=many.labels | group[1])

    def unary(self):
        if self.peek() == "-" and self.kind() == "sign":
            self.take()
            return _whole(self.unary())
        if self.kind() == "number":
            self.take()
            return SCALAR
        if self.kind() == "string":
            return Value(text=self.take()[1:-1])
        if self.peek() == "(":
            self.take()
            value = self.binary(0)
            self.take(")")
            return value
        if self.kind() != "word":
            raise QueryError(f"`{self.take()}` where a metric, number or function is expected")
        word = self.take()
        if word in AGGREGATES:
            return self.aggregate(word)
        return self.call(word) if self.peek() == "(" else self.selector(word)

    def names(self):
        self.take("(")
        found = set()
        while self.peek() != ")":
            found.add(self.take())
            if self.peek() == ",":
                self.take()
        self.take(")")
        return frozenset(found)

    def arguments(self):
        self.take("(")
        found = []
        while self.peek() != ")":
            found.append(self.binary(0))
            if self.peek() != ")":
                self.take(",")
        self.take(")")
        return found

    def aggregate(self, word):
        by = self.grouping()
        arguments = self.arguments()
        by = by or self.grouping()
        if len(arguments) != 1 + (word in WITH_PARAMETER):
            raise QueryError(f"{word}() of {len(arguments)} arguments")
        value = arguments[-1]
        if word not in ("group", "count"):    # which do not look at the number
            _whole(value)
        if by is None:
            return value if word in ("topk", "bottomk") else Value()
        _has(value, by[1], word)
        return Value(labels=by[1] if by[0] == "by" else value.labels - by[1])

    def grouping(self):
        return (self.take(), self.names()) if self.peek() in ("by", "without") else None

    def call(self, word):
        arguments = self.arguments()
        if word in OF_COUNTERS | OF_GAUGES:
            (value,) = arguments
            if not value.ranged:
                raise QueryError(f"{word}() needs a range")
            if value.counter != (word in OF_COUNTERS):
                raise QueryError(f"{word}() of a {'counter' if value.counter else 'gauge'}")
            return Value(labels=value.labels)
        if word == "histogram_quantile":
            value = _whole(arguments[1])
            _has(value, {"le"}, word)
            return Value(labels=value.labels - {"le"})
        if word == "time" and not arguments:
            return SCALAR
        if word == "scalar":
            _whole(arguments[0])
            return SCALAR
        if word == "vector" and len(arguments) == 1 and arguments[0].scalar:
            return Value()
        if word == "label_replace" and len(arguments) == 5:
            value, written = _whole(arguments[0]), arguments[1]
            return Value(labels=value.labels | {written.text})
        if word in PLAIN:
            return _whole(arguments[0])
        raise QueryError(f"{word}() is not known here; teach promql.py")

    def selector(self, name):
        metric = self.metrics.get(name)
        if metric is None:
            raise QueryError(f"no metric `{name}` is declared or recorded")
        if self.peek() == "{":
            self.take()
            while self.peek() != "}":
                self.matcher(name, metric)
                if self.peek() != "}":
                    self.take(",")
            self.take("}")
        ranged = self.kind() == "range"
        if ranged:
            text = self.take()
            if not RANGE.fullmatch(text):
                raise QueryError(f"cannot read the range `{text}`")
        if self.peek() == "offset":
            self.take()
            self.offset()
        return Value(labels=metric.labels, counter=metric.kind == "counter", ranged=ranged)

    def offset(self):
        length = self.take()
        if self.kind() == "word":    # `80s` is a number and a word; `${lead}s` a word
            length += self.take()
        if not OFFSET.fullmatch(length):
            raise QueryError(f"cannot read the offset `{length}`")

    def matcher(self, name, metric):
        label, operator = self.take(), self.take()
        if self.kind() != "string":
            raise QueryError(f"{name}: no string after `{label}{operator}`")
        text = self.take()[1:-1]
        if label not in metric.labels:
            raise QueryError(f"{name} has no label `{label}`; it has {sorted(metric.labels)}")
        known_of = self.values.get(f"{name}.{label}", self.values.get(label))
        if known_of is None or "$" in text:
            return
        for value in text.split("|") if operator in ("=~", "!~") else [re.escape(text)]:
            if not any(re.fullmatch(value, known) for known in known_of):
                raise QueryError(f"`{label}` never has the value `{value}`; it has {sorted(known_of)}")
