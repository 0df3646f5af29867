"""Lambda of the local cloud, as AWS's own clients and runtimes see it.

Clients: boto3 and the AWS CLI. Functions: Python on awslambdaric, Rust on lambda_runtime, and a plain HTTP app under
Pacer's adapter.
"""

import base64
import json
import pathlib
import sys
import tempfile
import unittest

import cloud

RUST = cloud.PROGRAMS / "examples" / "lambda-runtime-function"
PYTHON = {
    "command": [sys.executable, "-m", "awslambdaric", "python_function.handler"],
    "env": {"PYTHONPATH": str(cloud.FUNCTIONS)},
    "memory": "512MiB",
    "timeout": "10s",
}
INTEGRATION = "application/vnd.awslambda.http-integration-response"
ARN = f"arn:aws:lambda:{cloud.REGION}:{cloud.ACCOUNT}:function:python"


def payload(answer):
    """The payload of boto3's answer to Invoke."""
    return json.loads(answer["Payload"].read())


def events(answer):
    """The events of boto3's answer to InvokeWithResponseStream: the payload, and the end."""
    chunks, end = [], None
    for event in answer["EventStream"]:
        if "PayloadChunk" in event:
            chunks.append(event["PayloadChunk"]["Payload"])
        else:
            end = event["InvokeComplete"]
    return chunks, end


class Functions(cloud.Case):
    """What functions on AWS's runtimes get and give."""

    @classmethod
    def configuration(cls):
        adapter = [str(cloud.PROGRAMS / "pacer-adapter"), "--port", "0", "--"]
        app = [sys.executable, str(cloud.FUNCTIONS / "http_app.py")]
        return {
            "functions": {
                "python": {**PYTHON, "qualifiers": ["live"]},
                "rust": {"command": [str(RUST)]},
                "streaming": {"command": [str(RUST), "--stream"]},
                "app": {"command": adapter + app},
            }
        }

    def setUp(self):
        self.client = self.cloud.client("lambda")

    def invoke(self, function, event, **more):
        answer = self.client.invoke(FunctionName=function, Payload=json.dumps(event), **more)
        return answer, payload(answer)

    def test_a_python_function_on_awss_runtime_client(self):
        context = base64.b64encode(b'{"custom":{"a":"b"}}').decode()
        answer, body = self.invoke("python:live", {"n": 1}, LogType="Tail", ClientContext=context)
        self.assertEqual((answer["StatusCode"], answer["ExecutedVersion"]), (200, "1"))
        self.assertNotIn("FunctionError", answer)
        self.assertEqual(body["event"], {"n": 1})
        self.assertEqual((body["arn"], body["version"], body["memory"]), (f"{ARN}:live", "1", "512"))
        self.assertEqual(body["request_id"], answer["ResponseMetadata"]["RequestId"])
        self.assertTrue(0 < body["left_ms"] <= 10_000)
        log = base64.b64decode(answer["LogResult"]).decode()
        self.assertIn("hello from Python", log)
        self.assertRegex(log, r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 512 MB\t")

    def test_what_a_python_function_throws(self):
        answer, body = self.invoke("python", {"fail": "no luck"})
        self.assertEqual((answer["StatusCode"], answer["FunctionError"]), (200, "Unhandled"))
        self.assertEqual((body["errorType"], body["errorMessage"]), ("Wrong", "no luck"))
        self.assertTrue(body["stackTrace"])

    def test_a_rust_function_on_awss_runtime(self):
        answer, body = self.invoke("rust", {"n": 2})
        self.assertEqual((body["event"], body["version"]), ({"n": 2}, "$LATEST"))
        self.assertEqual(body["request_id"], answer["ResponseMetadata"]["RequestId"])
        answer, body = self.invoke("rust", {"fail": "no luck"})
        self.assertEqual(answer["FunctionError"], "Unhandled")
        self.assertEqual((body["errorType"], body["errorMessage"]), ("App.Wrong", "no luck"))

    def test_a_streaming_rust_function(self):
        event = json.dumps({"chunks": ["one", "two", "three"]})
        answer = self.client.invoke_with_response_stream(
            FunctionName="streaming", Payload=event, LogType="Tail"
        )
        self.assertEqual((answer["StatusCode"], answer["ExecutedVersion"]), (200, "$LATEST"))
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        self.assertEqual(headers["content-type"], "application/vnd.amazon.eventstream")
        self.assertEqual(headers["x-amzn-remapped-content-type"], INTEGRATION)
        chunks, end = events(answer)
        prelude, body = b"".join(chunks).split(bytes(8))
        self.assertEqual(json.loads(prelude)["statusCode"], 200)
        self.assertEqual(body, b"onetwothree")
        self.assertIn("REPORT RequestId: ", base64.b64decode(end["LogResult"]).decode())
        self.assertNotIn("ErrorCode", end)
        # The whole of it through the call that does not stream.
        whole = self.client.invoke(FunctionName="streaming", Payload=event)
        self.assertEqual(whole["Payload"].read(), b"".join(chunks))

    def test_a_streaming_rust_function_that_breaks_off(self):
        """lambda_runtime 1.5.0 writes the text of its error trailers into the body, and ends without an error: nobody
        behind it can tell. When this test fails, it has been mended, and `ErrorCode` is there."""
        event = json.dumps({"chunks": ["one"], "fail": "no luck"})
        answer = self.client.invoke_with_response_stream(FunctionName="streaming", Payload=event)
        chunks, end = events(answer)
        body = b"".join(chunks).split(bytes(8))[1]
        self.assertTrue(body.startswith(b"oneLambda-Runtime-Function-Error-Type: Runtime.StreamError"), body)
        self.assertEqual(end, {})

    def test_a_buffered_function_through_the_streaming_call(self):
        answer = self.client.invoke_with_response_stream(FunctionName="python", Payload='{"n": 3}')
        chunks, end = events(answer)
        self.assertEqual((len(chunks), end), (1, {}))
        self.assertEqual(json.loads(chunks[0])["event"], {"n": 3})

    def test_a_plain_http_app_under_the_adapter(self):
        event = {
            "version": "2.0",
            "rawPath": "/some/where",
            "rawQueryString": "a=b",
            "headers": {"host": "example.com", "content-type": "text/plain"},
            "requestContext": {
                "http": {"method": "POST", "path": "/some/where", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            },
            "body": "aGVsbG8=",
            "isBase64Encoded": True,
        }
        _, first = self.invoke("app", event)
        self.assertEqual((first["statusCode"], first["cookies"]), (200, ["a=1", "b=2"]))
        said = json.loads(base64.b64decode(first["body"]) if first["isBase64Encoded"] else first["body"])
        self.assertEqual((said["method"], said["path"], said["body"]), ("POST", "/some/where?a=b", "hello"))
        _, missing = self.invoke("app", {**event, "rawPath": "/missing", "rawQueryString": ""})
        self.assertEqual(missing["statusCode"], 404)

    def test_events_are_accepted_and_dry_runs_run_nothing(self):
        event = self.client.invoke(FunctionName="rust", InvocationType="Event", Payload="{}")
        self.assertEqual(event["StatusCode"], 202)
        dry = self.client.invoke(FunctionName="rust", InvocationType="DryRun", Payload="{}")
        self.assertEqual(dry["StatusCode"], 204)

    def test_refusals_are_the_exceptions_of_the_sdk(self):
        self.refused("ResourceNotFoundException", self.client.invoke, FunctionName="nobody")
        self.refused("InvalidRequestContentException", self.client.invoke, FunctionName="rust", Payload="{")
        self.cloud.fault({"lambda": {"error": {"function": "rust", "type": "SnapStartNotReadyException"}}})
        with self.assertRaises(self.client.exceptions.SnapStartNotReadyException):
            self.client.invoke(FunctionName="rust")
        throttle = {"function": "rust", "reason": "CallerRateLimitExceeded"}
        self.cloud.fault({"lambda": {"throttle": throttle}})
        with self.assertRaises(self.client.exceptions.TooManyRequestsException) as caught:
            self.client.invoke(FunctionName="rust")
        self.assertEqual(caught.exception.response["Reason"], "CallerRateLimitExceeded")
        self.assertEqual(caught.exception.response["retryAfterSeconds"], "1")


class Management(cloud.Case):
    """Versions, aliases and concurrency, by boto3 with its own waiters and paginators."""

    @classmethod
    def configuration(cls):
        snap = {"command": [str(RUST)], "snap_start": True}
        return {"functions": {"python": PYTHON, "snap": snap}}

    def setUp(self):
        self.client = self.cloud.client("lambda")

    def publish(self, colour):
        variables = {**PYTHON["env"], "COLOUR": colour}
        self.client.update_function_configuration(FunctionName="python", Environment={"Variables": variables})
        self.client.get_waiter("function_updated_v2").wait(FunctionName="python")
        return self.client.publish_version(FunctionName="python", Description=colour)["Version"]

    def test_publish_alias_and_shift(self):
        blue, green = self.publish("blue"), self.publish("green")
        alias = self.client.create_alias(FunctionName="python", Name="live", FunctionVersion=blue)
        self.assertEqual(alias["AliasArn"], f"{ARN}:live")

        def colour():
            return payload(self.client.invoke(FunctionName="python", Qualifier="live"))["colour"]

        self.assertEqual(colour(), "blue")
        weights = {"AdditionalVersionWeights": {green: 1.0}}
        alias = self.client.update_alias(
            FunctionName="python", Name="live", RoutingConfig=weights, RevisionId=alias["RevisionId"]
        )
        self.assertEqual(colour(), "green")
        stale = {"FunctionName": "python", "Name": "live", "RevisionId": "stale"}
        self.refused("PreconditionFailedException", self.client.update_alias, **stale)
        self.client.update_alias(
            FunctionName="python",
            Name="live",
            FunctionVersion=green,
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
        got = self.client.get_alias(FunctionName="python", Name="live")
        self.assertEqual((got["FunctionVersion"], got.get("RoutingConfig")), (green, None))
        pages = self.client.get_paginator("list_versions_by_function").paginate(
            FunctionName="python", PaginationConfig={"PageSize": 1}
        )
        versions = [version["Version"] for page in pages for version in page["Versions"]]
        self.assertEqual(versions, ["$LATEST", blue, green])
        names = [alias["Name"] for alias in self.client.list_aliases(FunctionName="python")["Aliases"]]
        self.assertEqual(names, ["live"])
        self.client.delete_function(FunctionName="python", Qualifier=blue)
        self.refused(
            "ResourceConflictException", self.client.delete_function, FunctionName="python", Qualifier=green
        )
        self.client.delete_alias(FunctionName="python", Name="live")
        self.refused("ResourceNotFoundException", self.client.get_alias, FunctionName="python", Name="live")

    def test_functions_are_listed_and_described(self):
        names = [function["FunctionName"] for function in self.client.list_functions()["Functions"]]
        self.assertEqual(names, ["python", "snap"])
        got = self.client.get_function(FunctionName=ARN)["Configuration"]
        self.assertEqual((got["MemorySize"], got["Timeout"], got["State"]), (512, 10, "Active"))
        account = self.client.get_account_settings()
        self.assertEqual(account["AccountLimit"]["ConcurrentExecutions"], 1000)
        self.assertEqual(account["AccountUsage"]["FunctionCount"], 2)

    def test_snapstart_is_pending_then_active_and_excludes_provisioned_concurrency(self):
        version = self.client.publish_version(FunctionName="snap")
        self.assertEqual(version["State"], "Pending")
        self.assertEqual(version["SnapStart"], {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"})
        waiter = self.client.get_waiter("published_version_active")
        waiter.wait(FunctionName="snap", Qualifier="1", WaiterConfig={"Delay": 1, "MaxAttempts": cloud.PATIENCE})
        answer = self.client.invoke(FunctionName="snap", Qualifier="1", LogType="Tail")
        self.assertIn("Restore Duration: ", base64.b64decode(answer["LogResult"]).decode())
        self.refused(
            "InvalidParameterValueException",
            self.client.put_provisioned_concurrency_config,
            FunctionName="snap",
            Qualifier="1",
            ProvisionedConcurrentExecutions=1,
        )

    def test_reserved_and_provisioned_concurrency(self):
        client = self.client
        client.put_function_concurrency(FunctionName="python", ReservedConcurrentExecutions=5)
        got = client.get_function_concurrency(FunctionName="python")
        self.assertEqual(got["ReservedConcurrentExecutions"], 5)
        got = client.get_function(FunctionName="python")
        self.assertEqual(got["Concurrency"]["ReservedConcurrentExecutions"], 5)
        version = self.publish("red")
        of = {"FunctionName": "python", "Qualifier": version}
        self.refused(
            "InvalidParameterValueException",
            client.put_provisioned_concurrency_config,
            ProvisionedConcurrentExecutions=6,
            **of,
        )
        put = client.put_provisioned_concurrency_config(ProvisionedConcurrentExecutions=2, **of)
        self.assertEqual(put["Status"], "IN_PROGRESS")

        def ready():
            got = client.get_provisioned_concurrency_config(**of)
            return got if got["Status"] == "READY" else None

        got = self.until("it is provisioned", ready)
        self.assertEqual(got["AvailableProvisionedConcurrentExecutions"], 2)
        listed = client.list_provisioned_concurrency_configs(FunctionName="python")
        self.assertEqual(len(listed["ProvisionedConcurrencyConfigs"]), 1)
        answer = client.invoke(LogType="Tail", **of)
        # It was there already.
        self.assertNotIn("Init Duration", base64.b64decode(answer["LogResult"]).decode())
        client.delete_provisioned_concurrency_config(**of)
        self.refused(
            "ProvisionedConcurrencyConfigNotFoundException", client.get_provisioned_concurrency_config, **of
        )
        client.delete_function_concurrency(FunctionName="python")


class CommandLine(cloud.Case):
    """The same by the AWS CLI, as an operator types it."""

    @classmethod
    def configuration(cls):
        return {"functions": {"python": PYTHON}}

    def aws(self, *arguments):
        return self.cloud.aws("lambda", *arguments, "--function-name", "python")

    def test_a_function_is_invoked_published_aliased_and_held(self):
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory) / "answer.json"
            said = self.aws("invoke", "--payload", '{"n": 1}', str(file))
            self.assertEqual(said, {"StatusCode": 200, "ExecutedVersion": "$LATEST"})
            self.assertEqual(json.loads(file.read_text())["event"], {"n": 1})
        self.assertEqual(self.aws("publish-version")["Version"], "1")
        self.aws("create-alias", "--name", "live", "--function-version", "1")
        self.assertEqual(self.aws("get-alias", "--name", "live")["FunctionVersion"], "1")
        self.aws("put-function-concurrency", "--reserved-concurrent-executions", "3")
        got = self.aws("get-function-concurrency")
        self.assertEqual(got, {"ReservedConcurrentExecutions": 3})
        provisioned = ("--qualifier", "live", "--provisioned-concurrent-executions", "1")
        self.aws("put-provisioned-concurrency-config", *provisioned)
        listed = self.aws("list-provisioned-concurrency-configs")["ProvisionedConcurrencyConfigs"]
        self.assertEqual(listed[0]["FunctionArn"], f"{ARN}:live")
        self.aws("delete-provisioned-concurrency-config", "--qualifier", "live")
        self.assertEqual(self.aws("get-function")["Configuration"]["Version"], "$LATEST")
        self.assertEqual(len(self.aws("list-versions-by-function")["Versions"]), 2)
        listed = self.cloud.aws("lambda", "list-functions")["Functions"]
        self.assertEqual([function["FunctionName"] for function in listed], ["python"])
        limit = self.cloud.aws("lambda", "get-account-settings")["AccountLimit"]
        self.assertEqual(limit["UnreservedConcurrentExecutions"], 997)


if __name__ == "__main__":
    unittest.main()
