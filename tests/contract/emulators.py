"""Emulators of AWS that others wrote, and the gateway on them, as programs of their own until a test ends."""

import json
import pathlib
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request

import boto3

import cloud


def free_port():
    """A port that was free a moment ago: these emulators cannot be told to let the system choose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A program of its own, until the test ends."""

    def __init__(self, test, command, environment):
        self.log = tempfile.TemporaryFile("w+")
        test.addCleanup(self.log.close)
        self.process = subprocess.Popen(
            command, env={**cloud.ENVIRONMENT, **environment}, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        test.addCleanup(self.end)

    def end(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def line(self, prefix):
        """The rest of the first line that begins with `prefix`."""
        for line in self.process.stdout:
            if line.startswith(prefix):
                return line.removeprefix(prefix).strip()
        self.log.seek(0)
        raise AssertionError(f"it ended before it said `{prefix}`: {self.log.read()}")


class Case(cloud.Case):
    """A test of a gateway whose only AWS is somebody else's emulator."""

    @classmethod
    def setUpClass(cls):
        """No cloud of our own."""

    def emulator(self, command, environment):
        """Starts an emulator on a port of its own and waits until it answers at `url`."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {**environment, "GATEWAY_PORT": str(port)}
        Program(self, [part.replace("{port}", str(port)) for part in command], environment)
        self.until("the emulator answers", self.answers)

    def answers(self):
        try:
            urllib.request.urlopen(self.url, timeout=cloud.PATIENCE).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def client(self, service):
        """A client of boto3 for it."""
        return boto3.client(
            service,
            region_name=cloud.REGION,
            endpoint_url=self.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def gateway(self, services, routes, **more):
        """Starts a gateway whose AWS it is, at `http` and `admin`. `more`: other keys of its policy."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        policy = pathlib.Path(directory.name) / "policy.yaml"
        policy.write_text(json.dumps({
            "version": 1,
            "region": cloud.REGION,
            "endpoint_url": self.url,
            "listen": {"http": "127.0.0.1:0"},
            "admin": "127.0.0.1:0",
            "metrics": "off",
            "services": services,
            "routes": routes,
            **more,
        }))
        program = Program(self, [cloud.PROGRAMS / "pacer", "serve", "--workers", "1", "--policy", policy], {})
        self.http = program.line("pacer listening on ").split()[0].rstrip("/")
        self.admin = program.line("pacer admin on ").split()[0].rstrip("/")
        return program
