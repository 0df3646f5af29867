#!/usr/bin/env python3
"""What the built-in page costs: CPU of the gateway without and with somebody who looks, memory, and CPU of the browser.

A gateway with 1,000 routes serves a light load; its processor time, user and system, comes from /proc. The gateway is
`target/release/pacer` unless PACER_BIN says otherwise; a Chromium is needed.

    tests/bench/page.py [--seconds 60] [--routes 1000]
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/page"))
os.environ.setdefault("PACER_BIN", str(ROOT / "target/release/pacer"))

from browser import Browser  # noqa: E402
from real import Gateway, Load, Task  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid):
    """Processor seconds of a process, by thread."""
    total = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, fields = (task / "comm").read_text().strip(), (task / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total[name] = total.get(name, 0) + (int(fields[11]) + int(fields[12])) / TICKS
    return total


def family(pid):
    """A process and all that it started."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
            except OSError:
                pass
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def kind(pid):
    """What a process of Chromium is for."""
    found = re.search(rb"--type=([a-z-]+)", Path(f"/proc/{pid}/cmdline").read_bytes())
    return found[1].decode() if found else "browser"


def resident_mib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def share(pids, seconds, pump):
    """Share of a core that processes use over so many seconds, and that of the thread `control`."""
    before = {pid: cpu_s(pid) for pid in pids}
    began = time.monotonic()
    pump(began + seconds)
    took = time.monotonic() - began
    all_s = control_s = 0.0
    for pid, then in before.items():
        now = cpu_s(pid)
        all_s += sum(now.values()) - sum(then.values())
        control_s += now.get("control", 0) - then.get("control", 0)
    return 100 * all_s / took, 100 * control_s / took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--routes", type=int, default=1000)
    args = parser.parse_args()
    wait = lambda until: time.sleep(max(0, until - time.monotonic()))
    paths = [f"/many/{index:04}" for index in range(0, args.routes, 7)]
    with Task() as task, Gateway(task.port, routes=args.routes) as gateway, Load(gateway.http, paths, pause_s=0.05), Browser() as browser:
        wait(time.monotonic() + 15)
        _, alone = share([gateway.pid], args.seconds, wait)
        page = browser.page()
        page.open(gateway.url)
        page.until("document.querySelector('#link').dataset.state === 'live'")

        def pump(until):
            while time.monotonic() < until:
                browser.listen(until)

        pump(time.monotonic() + 5)
        memory = resident_mib(gateway.pid)
        _, watched = share([gateway.pid], args.seconds, pump)
        kinds = {}
        for pid in family(browser.pid):
            kinds.setdefault(kind(pid), []).append(pid)
        before = {name: sum(sum(cpu_s(pid).values()) for pid in pids) for name, pids in kinds.items()}
        began = time.monotonic()
        pump(began + args.seconds)
        took = time.monotonic() - began
        drawn = {name: 100 * (sum(sum(cpu_s(pid).values()) for pid in pids) - before[name]) / took for name, pids in kinds.items()}
        metrics = {one["name"]: one["value"] for one in page.call("Performance.getMetrics")["metrics"]}
        print(f"{args.routes} routes, {args.seconds} s each")
        print(f"gateway, thread control: {alone:.2f} % of a core without a viewer, {watched:.2f} % with one: {watched - alone:+.2f} %; {memory:.1f} MiB resident")
        parts = ", ".join(f"{name} {used:.2f}" for name, used in drawn.items() if 0.005 <= used)
        print(f"browser: {sum(drawn.values()):.2f} % of a core ({parts}), drawn without a GPU; heap {metrics['JSHeapUsedSize'] / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
