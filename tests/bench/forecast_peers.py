#!/usr/bin/env python3
"""`pacer forecast --backtest` beside AutoETS and MSTL of statsforecast, on sampled origins.

    tests/bench/forecast_peers.py                                     the series of tests/sim/arrivals
    tests/bench/forecast_peers.py FILE.csv.gz... --origins 12

Both peers are refitted at every origin, from what was known there, and give their own prediction intervals, of which the
quantiles 0.5, 0.9, 0.95 and 0.99 are taken (none below 0). Pacer learned every step before that origin, as it does in a
gateway; its rows are those of the command. A cell is a series, a horizon and a level; its figure is Pacer's mean pinball
loss over that of the peer on the same origins and counts: below 1, Pacer is better.

- AutoETS (Hyndman and others, 2002; statsforecast's): the latest 240 steps, no season, as the daily one of minutes is
  longer than it can take.
- MSTL (Bandara, Hyndman and Bergmeir, 2021), seasons of a day, and of a week where three are known, AutoETS for the trend:
  up to the latest 28 days, on fewer origins, as a fit of minutes takes seconds. Not where a step is shorter than a
  minute: a day has too many of those; and not before two days are known.

Origins are sampled evenly from the second half of a series, beginning at the same places each time: no chance is in it.
Who has losses in few origins is uncertain by much; so the table has how many there were, and the summary medians.
`--seconds` bounds the fits of one peer on one series: what is not fitted by then is left out and told.

Needs `pip install statsforecast==2.1.1` (numpy comes with it) and a release build of pacer, or `--pacer FILE`.
"""

import argparse
import csv
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LEVELS = [0.5, 0.9, 0.95, 0.99]
# Two-sided intervals whose upper ends are those quantiles.
INTERVALS = [80, 90, 98]
DAY_S, WEEK_S = 86_400, 604_800
ETS_STEPS = 240
MSTL_DAYS = 28


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("series", nargs="*", type=Path)
    parser.add_argument("--pacer", type=Path, help="the binary; else that of target/release")
    parser.add_argument("--origins", type=int, default=48, help="of AutoETS, for each series; 0: none")
    parser.add_argument("--mstl-origins", type=int, default=12, help="of MSTL; 0: none")
    parser.add_argument("--seconds", type=float, default=300, help="of fits, for each peer and series")
    args = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    pacer = args.pacer or target / "release" / "pacer"
    if not pacer.exists():
        sys.exit(f"no {pacer}: cargo build --release -p pacer, or --pacer FILE")
    warnings.filterwarnings("ignore")
    series = args.series or sorted((ROOT / "tests/sim/arrivals").glob("*.csv.gz"))
    print("| series | ahead | peer | origins | p50 | p90 | p95 | p99 | s a fit |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    ratios = {"AutoETS": [], "MSTL": []}
    for path in series:
        with tempfile.TemporaryDirectory(prefix="pacer-peers-") as folder:
            rows = backtest(pacer, path, Path(folder) / "rows.csv")
        for peer, count in (("AutoETS", args.origins), ("MSTL", args.mstl_origins)):
            for horizon, origins, cells, fit_s in judge(path, rows, peer, count, args.seconds):
                shown = " | ".join(f"{cell:.2f}" for cell in cells)
                name = path.name.removesuffix(".csv.gz")
                print(f"| `{name}` | {horizon // 60}m | {peer} | {origins} | {shown} | {fit_s:.2f} |", flush=True)
                ratios[peer] += cells
    for peer, cells in ratios.items():
        if cells:
            above = sum(1 < cell for cell in cells)
            print(f"{peer}: median {statistics.median(cells):.2f}, {above} of {len(cells)} cells above 1, worst {max(cells):.2f}")


def backtest(pacer, path, out):
    """Returns Pacer's rows by horizon, each by its origin."""
    command = [pacer, "forecast", path, "--backtest", "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    by_horizon = {}
    with open(out, newline="") as file:
        for row in csv.DictReader(file):
            by_horizon.setdefault(int(row["horizon_s"]), {})[int(row["origin"])] = row
    return by_horizon


def read(path):
    """Returns the start of each step, and its count."""
    with gzip.open(path, "rt", newline="") as file:
        rows = [(int(float(row["timestamp"])), float(row["count"])) for row in csv.DictReader(file)]
    return np.array([at for at, _ in rows]), np.array([count for _, count in rows])


def judge(path, rows, peer, count, seconds):
    """Returns for each horizon: seconds ahead, origins, Pacer's loss over the peer's at each level, and what a fit took."""
    at, counts = read(path)
    step = int(np.median(np.diff(at)))
    place = {int(origin): n for n, origin in enumerate(at)}
    if peer == "MSTL" and step < 60:
        return []
    horizons = sorted(rows)
    common = sorted(set.intersection(*(set(rows[horizon]) for horizon in horizons)) & set(place))
    furthest = max(horizons) // step
    common = [origin for origin in common if enough(peer, place[origin], step)]
    if not common or not count:
        return []
    sampled = [common[len(common) * n // count] for n in range(min(count, len(common)))]
    own = {horizon: [] for horizon in horizons}
    others = {horizon: [] for horizon in horizons}
    begun, fitted = time.process_time(), 0
    # In an order that is spread over all of them, should time run out.
    for n in sorted(range(len(sampled)), key=lambda n: (n % 4, n)):
        if seconds < time.process_time() - begun:
            print(f"{path.name}: {peer} took {seconds:.0f} s: {fitted} of {len(sampled)} origins", file=sys.stderr)
            break
        known = place[sampled[n]] + 1
        quantiles = predict(peer, counts[:known], furthest, step)
        fitted += 1
        for horizon in horizons:
            row = rows[horizon][sampled[n]]
            came = float(row["actual"])
            issued = [float(row[f"q{round(level * 100):02}"]) for level in LEVELS]
            own[horizon].append([pinball(came, *pair) for pair in zip(issued, LEVELS)])
            told = quantiles[:, horizon // step - 1]
            others[horizon].append([pinball(came, *pair) for pair in zip(told, LEVELS)])
    fit_s = (time.process_time() - begun) / max(fitted, 1)
    result = []
    for horizon in horizons:
        losses = np.mean(own[horizon], axis=0) / np.maximum(np.mean(others[horizon], axis=0), 1e-12)
        result.append((horizon, fitted, losses.tolist(), fit_s))
    return result


def enough(peer, last, step):
    """Whether the peer can be fitted to the steps up to `last`."""
    return ETS_STEPS <= last if peer == "AutoETS" else 2 * DAY_S // step <= last


def predict(peer, known, steps, step):
    """Returns the peer's quantiles at LEVELS of so many steps to come."""
    from statsforecast.models import MSTL, AutoETS

    if peer == "AutoETS":
        known = known[-ETS_STEPS:]
        model = AutoETS(season_length=1)
    else:
        known = known[-MSTL_DAYS * DAY_S // step :]
        seasons = [DAY_S // step]
        if 3 * WEEK_S // step <= len(known):
            seasons.append(WEEK_S // step)
        model = MSTL(season_length=seasons, trend_forecaster=AutoETS(model="ZZN"))
    told = model.forecast(y=known.astype(np.float64), h=steps, level=INTERVALS)
    upper = [told[f"hi-{interval}"] for interval in INTERVALS]
    quantiles = np.array([told["mean"], *upper])
    # A model that ran away says nothing; the last count does.
    return np.clip(np.nan_to_num(quantiles, nan=known[-1], posinf=known.max() * 5), 0, known.max() * 5 + 1)


def pinball(came, quantile, level):
    return max(level * (came - quantile), (level - 1) * (came - quantile))


if __name__ == "__main__":
    main()
