"""The gateway finds tasks on emulators of AWS that others wrote, as far as each goes.

What they lack is named where it is met; when one learns it, its test fails and can ask for more.
"""

import http.server
import json
import sys
import threading
import unittest
import urllib.request

import cloud
import emulators

CONTAINER = {
    "name": "app",
    "image": "app",
    "cpu": 256,
    "memory": 512,
    "portMappings": [{"containerPort": 8080, "protocol": "tcp"}],
}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers, and says nothing about it."""

    def log_message(self, *_):
        pass


class Case(emulators.Case):
    """A gateway that discovers the service `prod/web`."""

    def emulator(self, command, environment):
        """Starts an emulator with a cluster and a task definition, and waits until it answers."""
        super().emulator(command, environment)
        self.ecs = self.client("ecs")
        self.ecs.create_cluster(clusterName="prod")
        self.ecs.register_task_definition(
            family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[CONTAINER],
        )

    def discover(self):
        container = {"ecs": {"cluster": "prod", "service": "web", "port": 8080}, "requests_per_task": 1}
        self.gateway({"web": {"container": container}}, [{"match": {}, "service": "web"}])

    def told(self, path):
        with urllib.request.urlopen(f"{self.admin}{path}", timeout=cloud.PATIENCE) as answer:
            return json.load(answer)

    def found(self):
        return self.told("/services")[0]["container"]["tasks"]

    def discovery(self):
        # Empty until the first tick.
        return (self.told("/status")["discovery"] or [{"error": None}])[0]


class Moto(Case):
    """Its services never have tasks; RunTask does, with a random address of 10.0.0.0/8, which is made one of loopback here."""

    SERVER = """
import random, sys
from moto.ecs import models
from moto.server import main
models.random_private_ip = lambda: f"127.99.{random.randint(1, 254)}.{random.randint(1, 254)}"
main(sys.argv[1:])
"""

    def setUp(self):
        self.emulator([sys.executable, "-c", self.SERVER, "-H", "127.0.0.1", "-p", "{port}"], {})

    def test_a_task_is_found_by_its_own_address(self):
        # A task's state moves with each so-many-th description, until it is stopped by itself.
        order = {"model_name": "ecs::task", "transition": {"progression": "manual", "times": 4}}
        request = urllib.request.Request(
            f"{self.url}/moto-api/state-manager/set-transition", data=json.dumps(order).encode(), method="POST"
        )
        urllib.request.urlopen(request, timeout=cloud.PATIENCE).close()
        subnet = self.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
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
        self.discover()
        (found,) = self.until("the task is ready", lambda: [t for t in self.found() if t["state"] == "ready"])
        self.assertEqual(found["address"], "{}:{}".format(*address))
        self.assertEqual(found["name"], task["taskArn"].split("/")[-1])
        with urllib.request.urlopen(self.http, timeout=cloud.PATIENCE) as answer:
            self.assertEqual(answer.status, 200)
        # It stops by being described: then it is drained and forgotten.
        self.until("it is gone", lambda: not self.found())


class MiniStack(Case):
    """Its services have tasks that run at once, without an address."""

    def setUp(self):
        self.emulator([sys.executable, "-m", "ministack"], {"BIND_HOST": "127.0.0.1"})

    def test_a_service_is_listed_and_its_tasks_lack_an_address(self):
        self.ecs.create_service(cluster="prod", serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE")
        arns = self.until("it has tasks", lambda: self.ecs.list_tasks(cluster="prod", serviceName="web")["taskArns"])
        (task, *_) = self.ecs.describe_tasks(cluster="prod", tasks=arns)["tasks"]
        self.assertEqual((task["lastStatus"], task["attachments"]), ("RUNNING", []), "a gap of MiniStack's")
        gone = self.ecs.list_tasks(cluster="prod", serviceName="gone")["taskArns"]
        self.assertEqual(gone, [], "another: ECS says ServiceNotFoundException")
        self.discover()

        def named():
            error = self.discovery()["error"] or ""
            return error if "has neither an address" in error else None

        error = self.until("the gateway says what is wrong", named)
        self.assertTrue(any(arn.split("/")[-1] in error for arn in arns), error)
        self.assertEqual(self.found(), [])


if __name__ == "__main__":
    unittest.main()
