"""ECS and SQS of the local cloud, as AWS's own clients see them: boto3 and the AWS CLI."""

import json
import time
import unittest
import urllib.request

import cloud

SERVE = ["/bin/sh", "-c", "exec python3 -m http.server --bind $HOST $PORT"]
ARN = f"arn:aws:ecs:{cloud.REGION}:{cloud.ACCOUNT}"


class Services(cloud.Case):
    """What people and programs do with services and tasks."""

    time_scale = 100

    @classmethod
    def configuration(cls):
        strategy = [{"provider": "FARGATE", "base": 1, "weight": 0}, {"provider": "FARGATE_SPOT"}]
        service = {"command": SERVE, "start_lag": "1s"}
        return {
            "clusters": {
                "prod": {
                    "services": {
                        "web": {**service, "desired": 3, "capacity_providers": strategy},
                        "bridged": {**service, "network": "bridge"},
                        # For what one test does to it.
                        **{name: {**service, "desired": 2} for name in ["rolled", "protected"]},
                    }
                }
            },
            "queues": {"tasks": {"task_events_of": ["prod"]}},
        }

    def setUp(self):
        self.ecs = self.cloud.client("ecs")

    def tasks(self, service, status="RUNNING"):
        """The service's tasks that are meant to run and have this status."""
        arns = self.ecs.list_tasks(cluster="prod", serviceName=service)["taskArns"]
        if not arns:
            return []
        tasks = self.ecs.describe_tasks(cluster="prod", tasks=arns)["tasks"]
        return [task for task in tasks if task["lastStatus"] == status]

    def running(self, service, count):
        found = lambda: [t for t in [self.tasks(service)] if len(t) == count]
        # Between two looks so long that the API's rate (20 a second) is kept.
        return self.slowly(f"{count} tasks of {service} run", found)[0]

    def slowly(self, what, condition):
        def looked():
            time.sleep(0.2)
            return condition()

        return self.until(what, looked)

    def test_lists_and_descriptions(self):
        self.assertEqual(self.ecs.list_clusters()["clusterArns"], [f"{ARN}:cluster/prod"])
        described = self.ecs.describe_clusters(clusters=["prod", "gone"])
        self.assertEqual(described["clusters"][0]["status"], "ACTIVE")
        self.assertEqual(described["failures"], [{"arn": "gone", "reason": "MISSING"}])
        pages = self.ecs.get_paginator("list_services").paginate(cluster="prod", PaginationConfig={"PageSize": 3})
        services = [arn.split("/")[-1] for page in pages for arn in page["serviceArns"]]
        self.assertEqual(services, ["bridged", "protected", "rolled", "web"])
        self.running("web", 3)
        pages = self.ecs.get_paginator("list_tasks").paginate(
            cluster="prod", serviceName="web", PaginationConfig={"PageSize": 2}
        )
        self.assertEqual([len(page["taskArns"]) for page in pages], [2, 1])
        service = self.ecs.describe_services(cluster="prod", services=["web"])["services"][0]
        self.assertEqual(service["deployments"][0]["status"], "PRIMARY")
        self.assertEqual(service["capacityProviderStrategy"][0]["base"], 1)

    def test_a_task_in_awsvpc_mode(self):
        tasks = self.running("web", 3)
        self.assertEqual(
            sorted(task["capacityProviderName"] for task in tasks), ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]
        )
        (interface,) = tasks[0]["attachments"]
        self.assertEqual((interface["type"], interface["status"]), ("ElasticNetworkInterface", "ATTACHED"))
        address = {item["name"]: item["value"] for item in interface["details"]}["privateIPv4Address"]
        self.assertEqual(tasks[0]["containers"][0]["networkInterfaces"][0]["privateIpv4Address"], address)
        url = f"http://{address}:8080/"
        self.until("it serves", lambda: self.status(url) == 200)
        self.assertLessEqual(tasks[0]["createdAt"], tasks[0]["startedAt"])

    def test_a_task_in_bridge_mode(self):
        (task,) = self.running("bridged", 1)
        (binding,) = task["containers"][0]["networkBindings"]
        self.assertEqual((task["launchType"], binding["containerPort"]), ("EC2", 8080))
        self.until("it serves", lambda: self.status(f"http://{binding['bindIP']}:{binding['hostPort']}/") == 200)

    def status(self, url):
        try:
            return urllib.request.urlopen(url, timeout=cloud.PATIENCE).status
        except OSError:
            return None

    def test_a_rolling_deployment(self):
        old = {task["taskArn"] for task in self.running("rolled", 2)}
        container = {"name": "app", "image": "web:2", "command": SERVE, "portMappings": [{"containerPort": 8080}]}
        registered = self.ecs.register_task_definition(
            family="rolled", networkMode="awsvpc", cpu="256", memory="512", containerDefinitions=[container]
        )["taskDefinition"]
        self.assertEqual(registered["revision"], 2)
        listed = self.ecs.list_task_definitions(familyPrefix="rolled")["taskDefinitionArns"]
        self.assertEqual(listed, [f"{ARN}:task-definition/rolled:{n}" for n in (1, 2)])
        described = self.ecs.describe_task_definition(taskDefinition="rolled")["taskDefinition"]
        self.assertEqual(described["taskDefinitionArn"], registered["taskDefinitionArn"])
        updated = self.ecs.update_service(cluster="prod", service="rolled", taskDefinition="rolled:2")["service"]
        self.assertEqual([d["status"] for d in updated["deployments"]], ["PRIMARY", "ACTIVE"])
        self.ecs.get_waiter("services_stable").wait(
            cluster="prod", services=["rolled"], WaiterConfig={"Delay": 1, "MaxAttempts": cloud.PATIENCE}
        )
        tasks = self.running("rolled", 2)
        self.assertFalse(old & {task["taskArn"] for task in tasks})
        self.assertEqual({task["taskDefinitionArn"] for task in tasks}, {registered["taskDefinitionArn"]})

    def test_a_protected_task_survives_scale_in(self):
        spared = self.running("protected", 2)[1]["taskArn"]
        done = self.ecs.update_task_protection(
            cluster="prod", tasks=[spared], protectionEnabled=True, expiresInMinutes=2880
        )
        self.assertTrue(done["protectedTasks"][0]["protectionEnabled"])
        self.ecs.update_service(cluster="prod", service="protected", desiredCount=0)
        self.assertEqual([task["taskArn"] for task in self.running("protected", 1)], [spared])
        got = self.ecs.get_task_protection(cluster="prod", tasks=[spared, "gone"])
        self.assertIn("expirationDate", got["protectedTasks"][0])
        self.assertEqual(got["failures"][0]["reason"], "MISSING")
        self.ecs.update_task_protection(cluster="prod", tasks=[spared], protectionEnabled=False)
        self.running("protected", 0)

    def test_the_cli_runs_describes_and_stops_a_task(self):
        aws = lambda call, *arguments: self.cloud.aws("ecs", call, "--cluster", "prod", *arguments)
        container = {"name": "job", "image": "job", "command": SERVE, "portMappings": [{"containerPort": 8080}]}
        self.cloud.aws(
            "ecs", "register-task-definition", "--family", "job", "--network-mode", "awsvpc",
            "--container-definitions", json.dumps([container]),
        )
        started = aws(
            "run-task", "--task-definition", "job",
            "--capacity-provider-strategy", "capacityProvider=FARGATE_SPOT,weight=1",
            "--network-configuration", "awsvpcConfiguration={subnets=[subnet-1]}",
        )
        (arn,) = [task["taskArn"] for task in started["tasks"]]
        self.ecs.get_waiter("tasks_running").wait(
            cluster="prod", tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": cloud.PATIENCE}
        )
        self.assertEqual(aws("describe-tasks", "--tasks", arn)["tasks"][0]["group"], "family:job")
        aws("stop-task", "--task", arn, "--reason", "done")
        self.ecs.get_waiter("tasks_stopped").wait(
            cluster="prod", tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": cloud.PATIENCE}
        )
        task = aws("describe-tasks", "--tasks", arn)["tasks"][0]
        self.assertEqual((task["stopCode"], task["stoppedReason"]), ("UserInitiated", "done"))
        self.assertTrue({"pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "stoppedAt"} <= task.keys())
        self.refused("ClientException", self.ecs.run_task, cluster="prod", taskDefinition="gone")

    def test_refusals_have_aws_names(self):
        self.refused("ClusterNotFoundException", self.ecs.list_tasks, cluster="gone")
        self.refused("ServiceNotFoundException", self.ecs.update_service, cluster="prod", service="gone")
        self.refused("InvalidParameterException", self.ecs.list_tasks, cluster="prod", launchType="EC2")

    def test_events_come_through_the_queue(self):
        sqs = self.cloud.client("sqs")
        url = sqs.get_queue_url(QueueName="tasks")["QueueUrl"]
        seen = set()

        def received():
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
            if messages:
                entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
                done = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
                self.assertEqual(len(done["Successful"]), len(messages))
            for message in messages:
                event = json.loads(message["Body"])
                self.assertEqual((event["source"], event["detail-type"]), ("aws.ecs", "ECS Task State Change"))
                seen.add(event["detail"]["lastStatus"])
            return {"PENDING", "ACTIVATING", "RUNNING"} <= seen

        self.until("every status is told", received)
        with self.assertRaises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="gone")


class Spot(cloud.Case):
    """What a Spot notice looks like from outside, and an API that is asked too often."""

    time_scale = 100

    @classmethod
    def configuration(cls):
        web = {"command": SERVE, "start_lag": "1s", "capacity_providers": [{"provider": "FARGATE_SPOT"}]}
        return {"clusters": {"prod": {"services": {"web": web}}}}

    def test_an_interrupted_task(self):
        ecs = self.cloud.client("ecs")
        (arn,) = self.until("it is listed", lambda: ecs.list_tasks(cluster="prod")["taskArns"])
        ecs.get_waiter("tasks_running").wait(cluster="prod", tasks=[arn], WaiterConfig={"Delay": 1})
        self.cloud.fault({"ecs": {"spot_interruption": {"task": arn}}})
        (task,) = ecs.describe_tasks(cluster="prod", tasks=[arn])["tasks"]
        self.assertEqual((task["desiredStatus"], task["stopCode"]), ("STOPPED", "SpotInterruption"))
        self.assertEqual(task["stoppedReason"], "Your Spot Task was interrupted.")

    def test_throttling_has_awss_name_and_rate(self):
        ecs = self.cloud.client("ecs")
        answered = 0
        with self.assertRaises(ecs.exceptions.ClientError) as caught:
            for answered in range(100_000):
                ecs.describe_services(cluster="prod", services=["web"])
        self.assertEqual(caught.exception.response["Error"]["Code"], "ThrottlingException")
        self.assertGreaterEqual(answered, 100)


if __name__ == "__main__":
    unittest.main()
