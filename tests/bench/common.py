"""What the benchmarks share: processes on given processors, their cost read from /proc, wrk, and where pacer is.

CPU is a process's own user and system time, children included, in ticks of the kernel's clock: it does not depend on how
busy the machine is otherwise, as throughput does. Standard library only.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")

# Where things listen: high enough to need no privilege, below the ports that the system gives away by itself.
ORIGIN = 19000


def need(tool, package):
    """Ends with a message that says what to install, unless `tool` is there."""
    from shutil import which

    if which(tool) is None:
        sys.exit(f"no `{tool}`: install the Debian package {package}")


def build():
    """Builds what is measured, optimised, and returns the directory that it is in."""
    subprocess.run(["cargo", "build", "--locked", "--release", "-p", "pacer"], cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--locked", "--release", "-p", "tests", "--bin", "bare-hyper"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release"


class Processes:
    """Starts processes; all that still run are ended at the end of the `with` block."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="pacer-bench-")
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.directory.cleanup()

    def file(self, name, text):
        path = Path(self.directory.name) / name
        path.write_text(text)
        return str(path)

    def start(self, command, cpus, env=None):
        """Starts `command` on the processors `cpus`, such as "0" or "0-3"; its output goes to a file."""
        log = open(Path(self.directory.name) / f"{len(self.running)}.log", "wb")
        process = subprocess.Popen(
            ["taskset", "-c", cpus, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        process.log = log.name
        self.running.append(process)
        return process

    def origin(self, body, cpus="1"):
        """Starts the origin: nginx that answers every request with `body`."""
        text = body.replace('"', '\\"')
        config = self.file(
            "origin.conf",
            f"""worker_processes 1; daemon off; pid {self.directory.name}/origin.pid; error_log stderr crit;
events {{ worker_connections 30000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; client_body_buffer_size 64k; client_max_body_size 0;
  server {{ listen 127.0.0.1:{ORIGIN}; location / {{ default_type application/json; return 200 "{text}"; }} }} }}
""",
        )
        process = self.start(["nginx", "-c", config], cpus)
        answers(ORIGIN, process)
        return process


def answers(port, process, path="/", seconds=20):
    """Waits until something answers 200 on `port`."""
    end = time.monotonic() + seconds
    why = "nothing listens"
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            why = f"status {error.code}"
        except OSError as error:
            why = str(error)
        time.sleep(0.05)
    sys.exit(f"no 200 on port {port} ({why}):\n{Path(process.log).read_text()[-2000:]}")


def descendants(pid):
    """Returns `pid` and all its children's children."""
    found = [pid]
    for thread in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split():
            found += descendants(int(child))
    return found


def cpu_us(pid):
    """Returns the processor time used so far, in microseconds."""
    total = 0
    for each in descendants(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total * 1_000_000 // TICKS


def resident_kib(pid):
    """Returns the memory resident, in KiB."""
    total = 0
    for each in descendants(pid):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())
        total += int(found[1]) if found else 0
    return total


def threads_us(pid):
    """Returns the processor time of each thread by its name, in microseconds."""
    times = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        name, fields = Path(f"/proc/{pid}/task/{thread}/stat").read_text().split("(", 1)[1].rsplit(")", 1)
        fields = fields.split()
        times[name] = times.get(name, 0) + (int(fields[11]) + int(fields[12])) * 1_000_000 // TICKS
    return times


def wrk(port, connections, seconds, script=None, cpus="1"):
    """Drives load, and returns what wrk counted."""
    command = ["taskset", "-c", cpus, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    command += ["-s", script] if script else []
    text = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, check=True).stdout

    def latency_ms(quantile):
        value, unit = re.search(rf"\n\s+{quantile}%\s+([\d.]+)(us|ms|s)\b", text).groups()
        return float(value) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return {
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p50_ms": latency_ms(50),
        "p99_ms": latency_ms(99),
        "failed": (int(bad[1]) if bad else 0) + (sum(map(int, errors.groups())) if errors else 0),
    }
