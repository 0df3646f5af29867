"""The gateway invokes functions on emulators of AWS that others wrote, as far as each goes.

What they lack is named where it is met; when one learns it, its test fails and can ask for more.
"""

import base64
import io
import json
import sys
import unittest
import urllib.error
import urllib.request
import zipfile

import cloud
import emulators

FUNCTION = """
import base64, json

def handler(event, context):
    path = event.get("rawPath") or event["path"]
    if path.endswith("/throw"):
        raise KeyError("secret")
    if path.endswith("/bytes"):
        return {"statusCode": 200, "body": base64.b64encode(bytes(range(256))).decode(), "isBase64Encoded": True}
    if path.endswith("/bad"):
        return {"statusCode": 99, "body": "secret"}
    if path.endswith("/plain"):
        return {"just": "JSON"}
    headers = {"content-type": "application/json", "x-amz-secret": "1", "x-ours": "1"}
    return {"statusCode": 201, "headers": headers, "cookies": ["a=1", "b=2"], "body": json.dumps(event)}
"""
FORMATS = ["apigw-v2", "apigw-v1", "alb", "alb-multi-value"]


class Case(emulators.Case):
    """A gateway that serves requests by a function."""

    def emulator(self, command, environment):
        """Starts an emulator and the function `f` there."""
        super().emulator(command, environment)
        role = self.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as file:
            file.writestr("function.py", FUNCTION)
        functions = self.client("lambda")
        functions.create_function(
            FunctionName="f", Runtime="python3.12", Handler="function.handler", Role=role["Role"]["Arn"],
            Code={"ZipFile": code.getvalue()},
        )
        functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})

    def serve(self):
        """Starts a gateway that serves `/FORMAT/` by the function, `/stream/` by its stream, `/gone/` by none."""
        services = {format: {"function": "f", "event": format} for format in FORMATS}
        services |= {"stream": {"function": "f", "invoke": "stream"}, "gone": {"function": "gone"}}
        self.gateway(
            {name: {"lambda": {**service, "assume": {"timeout": "30s"}}} for name, service in services.items()},
            [{"match": {"path_prefix": f"/{name}/"}, "service": name} for name in services],
        )

    def ask(self, path, body=b"hello"):
        request = urllib.request.Request(f"{self.http}{path}", data=body, headers={"content-type": "text/plain"})
        try:
            answer = urllib.request.urlopen(request, timeout=cloud.PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read()

    def fails(self, path):
        """A 502 that tells nothing of the function."""
        status, headers, body = self.ask(path)
        self.assertEqual((status, json.loads(body)["code"]), (502, "lambda-failed"), path)
        self.assertNotIn(b"secret", body)

    def is_event(self, event, format):
        method = event["requestContext"]["http"]["method"] if format == "apigw-v2" else event["httpMethod"]
        path = event["rawPath"] if format == "apigw-v2" else event["path"]
        body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
        self.assertEqual((method, path, body), ("POST", f"/{format}/event", b"hello"))


class Moto(Case):
    """It runs functions in Docker only; without it, it can be told to answer with the event, whatever the function."""

    SERVER = """
import sys
from moto.core.config import default_user_config
from moto.server import main
default_user_config["lambda"]["use_docker"] = False
main(sys.argv[1:])
"""

    def setUp(self):
        self.emulator([sys.executable, "-c", self.SERVER, "-H", "127.0.0.1", "-p", "{port}"], {})
        self.serve()

    def returning(self, *results):
        """What the next invocations return."""
        order = json.dumps({"results": results, "region": cloud.REGION}).encode()
        url = f"{self.url}/moto-api/static/lambda-simple/response"
        urllib.request.urlopen(urllib.request.Request(url, data=order), timeout=cloud.PATIENCE).close()

    def test_as_far_as_it_goes(self):
        # What has no status is JSON for API Gateway 2.0 alone.
        status, headers, body = self.ask("/apigw-v2/event")
        self.assertEqual((status, headers["content-type"]), (200, "application/json"))
        self.is_event(json.loads(body), "apigw-v2")
        for format in FORMATS:
            self.returning(json.dumps({"statusCode": 201, "headers": {"x-ours": "1"}, "body": "hi"}), '{"statusCode": 99}')
            status, headers, body = self.ask(f"/{format}/")
            self.assertEqual((status, headers["x-ours"], body), (201, "1", b"hi"), format)
            self.fails(f"/{format}/")
        # What it lacks.
        self.assertEqual(self.ask("/gone/")[0], 200, "a gap of moto's: AWS says ResourceNotFoundException")
        self.assertEqual(self.ask("/stream/")[0], 502, "another: it knows no InvokeWithResponseStream")


class MiniStack(Case):
    """It runs functions of Python as processes of their own."""

    def setUp(self):
        self.emulator([sys.executable, "-m", "ministack"], {"BIND_HOST": "127.0.0.1"})
        self.serve()

    def test_as_far_as_it_goes(self):
        for format in FORMATS:
            status, headers, body = self.ask(f"/{format}/event")
            self.assertEqual((status, headers["x-ours"], headers["x-amz-secret"]), (201, "1", None), format)
            self.assertEqual(headers.get_all("set-cookie"), ["a=1", "b=2"] if format == "apigw-v2" else None)
            self.is_event(json.loads(body), format)
            self.assertEqual(self.ask(f"/{format}/bytes")[2], bytes(range(256)))
            for path in ["throw", "bad"]:
                self.fails(f"/{format}/{path}")
        self.assertEqual(self.ask("/apigw-v2/plain")[2], b'{"just": "JSON"}')
        self.fails("/alb/plain")
        # Its function is not there: what it says is understood.
        self.fails("/gone/")
        # Streams. No prelude: what the function returned is the body.
        status, headers, body = self.ask("/stream/plain")
        self.assertEqual((status, headers["content-type"], body), (200, "application/octet-stream", b'{"just": "JSON"}'))
        gap = "a gap of MiniStack's: AWS's InvokeComplete has ErrorCode, its has errorCode"
        self.assertEqual(self.ask("/stream/throw")[0], 200, gap)


if __name__ == "__main__":
    unittest.main()
