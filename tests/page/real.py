"""A real gateway for the page: `pacer serve` before a task of ours, with as many routes as wanted, and requests for it.

Standard library only. All that is started here ends with its `with`.
"""

import http.client
import os
import re
import signal
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# A path that is markup to who writes it into a page. It is legal in a policy.
HOSTILE = "/a'b&lt;i&gt;(1)"


def binary():
    path = Path(os.environ.get("PACER_BIN") or ROOT / "target/debug/pacer")
    if not path.exists():
        raise SystemExit(f"there is no {path}: run `cargo build -p pacer`, or set PACER_BIN")
    return path


def policy(upstream, admin, routes):
    lines = [
        "version: 1", "region: eu-west-1", "listen: { http: '127.0.0.1:0', drain: 0s }", f"admin: '127.0.0.1:{admin}'", "metrics: off", "access_log: off",
        "defaults: { mode: observe }", "services:",
        "  film:", f"    container: {{ upstreams: ['http://127.0.0.1:{upstream}'], requests_per_task: 8, assume: {{ vcpu: 1, memory: 2GiB, arch: arm64 }} }}",
        "    objective: { success: 99%, window: 30d }", "routes:",
        "  - { match: { path: /render }, service: film }", f'  - {{ match: {{ path: "{HOSTILE}" }}, service: film, class: marathon }}']
    lines += [f"  - {{ match: {{ path: /many/{index:04} }}, service: film }}" for index in range(routes)]
    return "\n".join(lines) + "\n"


class Task:
    """What the gateway's requests run on; answers `status`."""

    def __enter__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                probe = self.headers.get("user-agent", "").startswith("pacer")
                self.send_response(200 if probe else outer.status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass    # a gateway that was killed

        self.status = 200
        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Gateway:
    """`pacer serve`; `admin` is where its page is."""

    def __init__(self, upstream, routes=0, admin=0):
        self._upstream, self._routes, self._wanted = upstream, routes, admin

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="pacer-page-")
        file = Path(self._directory.name) / "policy.yaml"
        file.write_text(policy(self._upstream, self._wanted, self._routes))
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PACER_"))}
        self._errors = open(Path(self._directory.name) / "errors", "w+")
        self._process = subprocess.Popen([binary(), "serve", "--workers", "1", "--policy", file], stdout=subprocess.PIPE, stderr=self._errors, text=True, env=clean)
        self.pid, self.http, self.admin = self._process.pid, None, None
        while self.http is None or self.admin is None:
            line = self._process.stdout.readline()
            if not line:
                self._errors.seek(0)
                said = self._errors.read()
                self.__exit__()
                raise SystemExit(f"pacer ended: {said}")
            if found := re.match(r"pacer (listening|admin) on http://127\.0\.0\.1:(\d+)", line):
                setattr(self, {"listening": "http", "admin": "admin"}[found[1]], int(found[2]))
        self.url = f"http://127.0.0.1:{self.admin}/"
        return self

    def kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        self._process.stdout.close()
        self._errors.close()
        self._directory.cleanup()


class Load:
    """Sends requests for `paths` one after the other, until it ends."""

    def __init__(self, port, paths, pause_s=0.01):
        self._port, self._paths, self._pause_s = port, paths, pause_s

    def __enter__(self):
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def _send(self):
        sent, connection = 0, http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._ending.wait(self._pause_s):
            try:
                connection.request("GET", self._paths[sent % len(self._paths)])
                connection.getresponse().read()
            except OSError:
                connection.close()
            sent += 1
        connection.close()

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
