"""The gateway finds tasks on emulators of AWS that others wrote, as far as each goes.

What they lack is named where it is met; when one learns it, its test fails and can ask for more.
"""

import http.server
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

import boto3

import cloud

CONTAINER = {
    "name": "app",
    "image": "app",
    "cpu": 256,
    "memory": 512,
    "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
}


def free_port():
    """A port that was free a moment ago: these emulators cannot be told to let the system choose."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers, and says nothing about it."""

    def log_message(self, *_):
        pass


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


class Emulators(cloud.Case):
    """A gateway whose only AWS is somebody else's emulator."""

    @classmethod
    def setUpClass(cls):
        """No cloud of our own."""

    def emulator(self, command, environment):
        """Starts an emulator on its port and waits until it answers."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        Program(self, [part.replace("{port}", str(port)) for part in command], {**environment, "GATEWAY_PORT": str(port)})

        def answers():
            try:
                urllib.request.urlopen(url, timeout=cloud.PATIENCE).close()
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False
            return True

        self.until("the emulator answers", answers)
        names = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        self.ecs = boto3.client("ecs", region_name=cloud.REGION, endpoint_url=url, **names)
        self.ecs.create_cluster(clusterName="prod")
        self.ecs.register_task_definition(
            family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[CONTAINER],
        )
        return url

    def gateway(self, url):
        """Starts a gateway that discovers the service `prod/web` there."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        policy = pathlib.Path(directory.name) / "policy.yaml"
        policy.write_text(json.dumps({
            "version": 1,
            "region": cloud.REGION,
            "endpoint_url": url,
            "listen": {"http": "127.0.0.1:0"},
            "admin": "127.0.0.1:0",
            "metrics": "off",
            "services": {
                "web": {"container": {"ecs": {"cluster": "prod", "service": "web", "port": 8080}, "requests_per_task": 1}}
            },
            "routes": [{"match": {}, "service": "web"}],
        }))
        program = Program(self, [cloud.PROGRAMS / "pacer", "serve", "--workers", "1", "--policy", policy], {})
        self.http = program.line("pacer listening on ").split()[0]
        self.admin = program.line("pacer admin on ").split()[0].rstrip("/")

    def told(self, path):
        with urllib.request.urlopen(f"{self.admin}{path}", timeout=cloud.PATIENCE) as answer:
            return json.load(answer)

    def found(self):
        return self.told("/services")[0]["container"]["tasks"]

    def discovery(self):
        # Empty until the first tick.
        return (self.told("/status")["discovery"] or [{"error": None}])[0]


class Moto(Emulators):
    """Its services never have tasks; RunTask does, with a random address of 10.0.0.0/8, which is made one of loopback here."""

    SERVER = """
import random, sys
from moto.ecs import models
from moto.server import main
models.random_private_ip = lambda: f"127.99.{random.randint(1, 254)}.{random.randint(1, 254)}"
main(sys.argv[1:])
"""

    def setUp(self):
        self.url = self.emulator([sys.executable, "-c", self.SERVER, "-H", "127.0.0.1", "-p", "{port}"], {})

    def test_a_task_is_found_by_its_own_address(self):
        # A task's state moves with each so-many-th description, until it is stopped by itself.
        order = {"model_name": "ecs::task", "transition": {"progression": "manual", "times": 4}}
        request = urllib.request.Request(
            f"{self.url}/moto-api/state-manager/set-transition", data=json.dumps(order).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=cloud.PATIENCE).close()
        ec2 = boto3.client(
            "ec2", region_name=cloud.REGION, endpoint_url=self.url, aws_access_key_id="local", aws_secret_access_key="local"
        )
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        # ListTasks does not look at the service's name: what runs in the cluster is listed.
        self.ecs.create_service(cluster="prod", serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE")
        network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": ["sg-1"]}}
        (task,) = self.ecs.run_task(
            cluster="prod", taskDefinition="web", launchType="FARGATE", networkConfiguration=network
        )["tasks"]
        details = {item["name"]: item["value"] for item in task["attachments"][0]["details"]}
        # No container is started: what listens there is ours.
        address = (details["privateIPv4Address"], 8080)
        server = http.server.ThreadingHTTPServer(address, Handler)
        self.addCleanup(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        self.gateway(self.url)
        (found,) = self.until("the task is ready", lambda: [t for t in self.found() if t["state"] == "ready"])
        self.assertEqual(found["address"], "{}:{}".format(*address))
        self.assertEqual(found["name"], task["taskArn"].split("/")[-1])
        with urllib.request.urlopen(self.http, timeout=cloud.PATIENCE) as answer:
            self.assertEqual(answer.status, 200)
        # It stops by being described: then it is drained and forgotten.
        self.until("it is gone", lambda: not self.found())


class MiniStack(Emulators):
    """Its services have tasks that run at once, without an address."""

    def setUp(self):
        self.url = self.emulator([sys.executable, "-m", "ministack"], {"BIND_HOST": "127.0.0.1"})

    def test_a_service_is_listed_and_its_tasks_lack_an_address(self):
        self.ecs.create_service(cluster="prod", serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE")
        arns = self.until("it has tasks", lambda: self.ecs.list_tasks(cluster="prod", serviceName="web")["taskArns"])
        (task, *_) = self.ecs.describe_tasks(cluster="prod", tasks=arns)["tasks"]
        self.assertEqual((task["lastStatus"], task["attachments"]), ("RUNNING", []), "a gap of MiniStack's")
        gone = self.ecs.list_tasks(cluster="prod", serviceName="gone")["taskArns"]
        self.assertEqual(gone, [], "another: ECS says ServiceNotFoundException")
        self.gateway(self.url)

        def named():
            error = self.discovery()["error"] or ""
            return error if "has neither an address" in error else None

        error = self.until("the gateway says what is wrong", named)
        self.assertTrue(any(arn.split("/")[-1] in error for arn in arns), error)
        self.assertEqual(self.found(), [])


if __name__ == "__main__":
    unittest.main()
