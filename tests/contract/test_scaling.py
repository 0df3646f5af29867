"""Application Auto Scaling and EventBridge Scheduler of the local cloud, as AWS's own clients see them: boto3 and the AWS CLI."""

import datetime
import json
import time
import unittest
import zoneinfo

import cloud

SERVE = ["/bin/sh", "-c", "exec python3 -m http.server --bind $HOST $PORT"]
WEB = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/prod/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
ROLE = f"arn:aws:iam::{cloud.ACCOUNT}:role/pacer-fallback"


def at(seconds, zone="UTC"):
    """`at(...)`, so many seconds from now, in local time of `zone`."""
    moment = datetime.datetime.now(zoneinfo.ZoneInfo(zone)) + datetime.timedelta(seconds=seconds)
    return moment.strftime("at(%Y-%m-%dT%H:%M:%S)")


class Scaling(cloud.Case):
    """One service whose desired count others set: at once, and later."""

    time_scale = 100

    @classmethod
    def configuration(cls):
        web = {"command": SERVE, "start_lag": "1s", "desired": 1}
        return {"clusters": {"prod": {"services": {"web": web}}}}

    def setUp(self):
        self.scaling = self.cloud.client("application-autoscaling")
        self.scheduler = self.cloud.client("scheduler")
        self.ecs = self.cloud.client("ecs")
        self.ecs.update_service(cluster="prod", service="web", desiredCount=1)

    def desired(self):
        return self.ecs.describe_services(cluster="prod", services=["web"])["services"][0]["desiredCount"]

    def becomes(self, count):
        def looked():
            # Between two looks so long that the API's rate (20 a second) is kept.
            time.sleep(0.1)
            return self.desired() == count

        self.until(f"{count} tasks are desired", looked)

    def schedule(self, expression, count, **change):
        wanted = {"Cluster": "prod", "Service": "web", "DesiredCount": count}
        target = {"Arn": "arn:aws:scheduler:::aws-sdk:ecs:updateService", "RoleArn": ROLE, "Input": json.dumps(wanted)}
        return {
            "ScheduleExpression": expression,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": target,
            **change,
        }

    def test_bounds_and_scheduled_actions(self):
        self.refused("ValidationException", self.scaling.register_scalable_target, **WEB, MinCapacity=2)
        registered = self.scaling.register_scalable_target(**WEB, MinCapacity=2, MaxCapacity=9)
        self.addCleanup(self.scaling.deregister_scalable_target, **WEB)
        self.assertEqual(self.desired(), 2)
        (target,) = self.scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[WEB["ResourceId"]])[
            "ScalableTargets"
        ]
        self.assertEqual(target["ScalableTargetARN"], registered["ScalableTargetARN"])
        self.assertEqual((target["MinCapacity"], target["MaxCapacity"]), (2, 9))
        self.assertLess(abs(target["CreationTime"].timestamp() - datetime.datetime.now().timestamp()), 60)
        self.assertFalse(target["SuspendedState"]["ScheduledScalingSuspended"])
        error = self.refused("ValidationException", self.scaling.register_scalable_target, **WEB, MinCapacity=10)
        self.assertEqual(error["Error"]["Message"], "Maximum capacity cannot be less than minimum capacity")

        put = self.scaling.put_scheduled_action
        put(
            **WEB, ScheduledActionName="floor", Schedule=at(30, "Asia/Tokyo"), Timezone="Asia/Tokyo",
            ScalableTargetAction={"MinCapacity": 4},
        )
        pages = self.scaling.get_paginator("describe_scheduled_actions").paginate(**WEB)
        (action,) = [action for page in pages for action in page["ScheduledActions"]]
        self.assertEqual((action["Timezone"], action["ScalableTargetAction"]), ("Asia/Tokyo", {"MinCapacity": 4}))
        self.becomes(4)
        past = {"ScheduledActionName": "past", "Schedule": at(-60), "ScalableTargetAction": {"MinCapacity": 1}}
        self.refused("ValidationException", put, **WEB, **past)
        self.scaling.delete_scheduled_action(**WEB, ScheduledActionName="floor")
        with self.assertRaises(self.scaling.exceptions.ObjectNotFoundException):
            self.scaling.delete_scheduled_action(**WEB, ScheduledActionName="floor")

    def test_the_cli_registers_schedules_and_describes(self):
        which = ["--service-namespace", "ecs", "--resource-id", WEB["ResourceId"]]
        which += ["--scalable-dimension", WEB["ScalableDimension"]]
        aws = lambda call, *arguments: self.cloud.aws("application-autoscaling", call, *arguments)
        aws("register-scalable-target", *which, "--min-capacity", "1", "--max-capacity", "5")
        self.addCleanup(self.scaling.deregister_scalable_target, **WEB)
        aws(
            "put-scheduled-action", *which, "--scheduled-action-name", "event", "--schedule", at(86400),
            "--scalable-target-action", "MinCapacity=3,MaxCapacity=8",
        )
        (action,) = aws("describe-scheduled-actions", "--service-namespace", "ecs")["ScheduledActions"]
        self.assertEqual(action["ScalableTargetAction"], {"MinCapacity": 3, "MaxCapacity": 8})
        aws("delete-scheduled-action", *which, "--scheduled-action-name", "event")
        self.assertEqual(aws("describe-scheduled-actions", "--service-namespace", "ecs")["ScheduledActions"], [])

    def test_a_schedule_calls_ecs_once(self):
        schedule = self.schedule(at(30, "Europe/Budapest"), 3, ScheduleExpressionTimezone="Europe/Budapest")
        made = self.scheduler.create_schedule(Name="fallback", GroupName="default", ClientToken="t", **schedule)
        self.assertTrue(made["ScheduleArn"].endswith(":schedule/default/fallback"))
        again = self.scheduler.create_schedule(Name="fallback", GroupName="default", ClientToken="t", **schedule)
        self.assertEqual(again["ScheduleArn"], made["ScheduleArn"])
        with self.assertRaises(self.scheduler.exceptions.ConflictException):
            self.scheduler.create_schedule(Name="fallback", **schedule)
        shown = self.scheduler.get_schedule(Name="fallback")
        self.assertEqual(shown["Target"]["Input"], schedule["Target"]["Input"])
        self.assertEqual(shown["CreationDate"], shown["LastModificationDate"])
        self.becomes(3)
        gone = lambda: self.error(self.scheduler.get_schedule, Name="fallback") == "ResourceNotFoundException"
        self.until("it is gone", gone)

    def error(self, call, **arguments):
        try:
            call(**arguments)
        except self.scheduler.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return None

    def test_a_schedule_is_pushed_forward_and_deleted(self):
        self.scheduler.create_schedule(Name="pushed", **self.schedule(at(3600), 7))
        self.scheduler.update_schedule(Name="pushed", **self.schedule(at(86400), 8))
        self.assertEqual(json.loads(self.scheduler.get_schedule(Name="pushed")["Target"]["Input"])["DesiredCount"], 8)
        self.cloud.aws("scheduler", "delete-schedule", "--name", "pushed")
        missing = self.scheduler.exceptions.ResourceNotFoundException
        for call in [self.scheduler.get_schedule, self.scheduler.delete_schedule]:
            with self.assertRaises(missing) as caught:
                call(Name="pushed")
            self.assertEqual(caught.exception.response["Error"]["Message"], "Schedule pushed does not exist.")
        with self.assertRaises(missing):
            self.scheduler.update_schedule(Name="pushed", **self.schedule(at(60), 1))
        self.assertEqual(self.desired(), 1)

    def test_wrong_schedules_are_refused(self):
        good = self.schedule(at(3600), 2)
        camel = {**good["Target"], "Input": json.dumps({"cluster": "prod", "service": "web"})}
        for change, message in [
            ({"ScheduleExpression": "at(2026-11-27)"}, "Invalid Schedule Expression at(2026-11-27)."),
            ({"Target": camel}, "Request payload is missing the following field(s): Service."),
        ]:
            error = self.refused("ValidationException", self.scheduler.create_schedule, Name="s", **{**good, **change})
            self.assertIn(message, error["Error"]["Message"])

    def test_faults_have_awss_names(self):
        orders = [
            ("autoscaling", self.scaling.describe_scalable_targets, {"ServiceNamespace": "ecs"}),
            ("scheduler", self.scheduler.get_schedule, {"Name": "s"}),
            ("ecs", self.ecs.list_clusters, {}),
        ]
        self.addCleanup(self.cloud.clear)
        for service, call, arguments in orders:
            self.cloud.fault({service: {"throttle": {}}})
            self.refused("ThrottlingException", call, **arguments)
            self.cloud.fault({service: {"down": {"status": 503}}})
            error = self.refused_with(503, call, **arguments)
            self.assertTrue(error["Error"]["Code"].startswith("ServiceUnavailable"), error)

    def refused_with(self, status, call, **arguments):
        with self.assertRaises(self.scheduler.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["ResponseMetadata"]["HTTPStatusCode"], status)
        return caught.exception.response


class Zones(cloud.Case):
    """A service over three zones, one of which goes down."""

    time_scale = 100

    @classmethod
    def configuration(cls):
        web = {"command": SERVE, "start_lag": "1s", "desired": 3}
        return {"clusters": {"prod": {"services": {"web": web}}}}

    def zones(self, ecs):
        arns = ecs.list_tasks(cluster="prod", serviceName="web")["taskArns"]
        tasks = ecs.describe_tasks(cluster="prod", tasks=arns)["tasks"] if arns else []
        return sorted(task["availabilityZone"] for task in tasks if task["lastStatus"] == "RUNNING")

    def test_a_zone_that_is_down_is_left(self):
        ecs = self.cloud.client("ecs")
        region = cloud.REGION
        self.until("one runs in each", lambda: self.zones(ecs) == [f"{region}{zone}" for zone in "abc"])
        self.cloud.fault({"ecs": {"zone_down": {"zone": f"{region}b"}}})
        left = {f"{region}a", f"{region}c"}
        self.until("three run in the others", lambda: len(z := self.zones(ecs)) == 3 and set(z) == left)
        events = ecs.describe_services(cluster="prod", services=["web"])["services"][0]["events"]
        self.assertTrue(any("has started 3 tasks" in event["message"] for event in events), events)


if __name__ == "__main__":
    unittest.main()
