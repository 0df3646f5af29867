"""The local cloud under test, and the clients that AWS wrote.

A test gives the configuration it needs; the cloud listens on a port that the system chooses and ends with the test.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / "target" / "debug"
FUNCTIONS = pathlib.Path(__file__).resolve().parent / "functions"
REGION = "eu-west-1"
ACCOUNT = "123456789012"
# How long a condition may take to come true on a busy machine, in seconds.
PATIENCE = 30

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "PATH": os.environ["PATH"],
}


class Cloud:
    """`pacer local` as a program of its own, from its configuration (JSON is YAML) until `stop`."""

    def __init__(self, configuration, time_scale=1000):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".yaml")
        json.dump({"version": 1, **configuration}, self.file)
        self.file.flush()
        command = [PROGRAMS / "pacer-local", "--listen", "127.0.0.1:0"]
        command += ["--time-scale", str(time_scale), "--config", self.file.name]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.program.stdout.readline()
        prefix = "pacer local listening on "
        if not line.startswith(prefix):
            self.stop()
            raise RuntimeError(f"pacer local did not start: {line!r}")
        self.url = line.removeprefix(prefix).strip()

    def stop(self):
        self.program.terminate()
        self.program.wait()
        self.program.stdout.close()
        self.file.close()

    def client(self, service):
        """A client of boto3 that asks once: what the cloud refuses is seen."""
        config = botocore.config.Config(
            retries={"total_max_attempts": 1}, connect_timeout=PATIENCE, read_timeout=PATIENCE
        )
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=config,
        )

    def aws(self, *arguments):
        """The AWS CLI's answer as JSON, or None when it prints nothing."""
        command = [sys.executable, pathlib.Path(sys.executable).with_name("aws")]
        command += ["--endpoint-url", self.url, "--output", "json", *arguments]
        # No --no-cli-pager: a pipe has no pager.
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=4 * PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"aws {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def fault(self, order):
        body = json.dumps(order).encode()
        request = urllib.request.Request(f"{self.url}/_local/faults", data=body, method="POST")
        urllib.request.urlopen(request, timeout=PATIENCE).close()

    def clear(self):
        """Forgets all faults."""
        request = urllib.request.Request(f"{self.url}/_local/faults", method="DELETE")
        urllib.request.urlopen(request, timeout=PATIENCE).close()


class Case(unittest.TestCase):
    """A test with one cloud for all its methods; `configuration` says what it runs."""

    time_scale = 1000

    @classmethod
    def configuration(cls):
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud(cls.configuration(), cls.time_scale)
        cls.addClassCleanup(cls.cloud.stop)

    def refused(self, code, call, **arguments):
        """The error of a call that must be refused with `code`."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response

    def until(self, what, condition):
        """Asks until `condition` gives something."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            # Between two looks, not instead of one.
            time.sleep(0.01)
        self.fail(f"not within {PATIENCE} s: {what}")
