"""DynamoDB, S3 and CloudWatch of the local cloud, as AWS's own clients see them: boto3 and the AWS CLI."""

import datetime
import hashlib
import tempfile
import unittest

import cloud

TARGET = [{"Name": "TargetGroup", "Value": "targetgroup/web/0123456789abcdef"}]


class DynamoDb(cloud.Case):
    """A lease and beats, as gateways keep them."""

    @classmethod
    def configuration(cls):
        return {"tables": {"gateways": {"hash": "pk", "range": "sk"}}}

    def setUp(self):
        self.dynamodb = self.cloud.client("dynamodb")

    def test_a_table_is_made_described_and_deleted(self):
        made = self.dynamodb.create_table(
            TableName="made",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        self.assertEqual(made["TableDescription"]["TableStatus"], "ACTIVE")
        self.dynamodb.get_waiter("table_exists").wait(TableName="made")
        ttl = {"Enabled": True, "AttributeName": "ends"}
        self.dynamodb.update_time_to_live(TableName="made", TimeToLiveSpecification=ttl)
        told = self.dynamodb.describe_time_to_live(TableName="made")["TimeToLiveDescription"]
        self.assertEqual(told, {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends"})
        table = self.cloud.aws("dynamodb", "describe-table", "--table-name", "gateways")["Table"]
        self.assertEqual([key["KeyType"] for key in table["KeySchema"]], ["HASH", "RANGE"])
        self.dynamodb.delete_table(TableName="made")
        self.dynamodb.get_waiter("table_not_exists").wait(TableName="made")
        self.refused("ResourceNotFoundException", self.dynamodb.describe_table, TableName="made")

    def test_a_lease_changes_hands_only_as_it_was_seen(self):
        key = {"pk": {"S": "prod"}, "sk": {"S": "lease"}}
        take = {
            "TableName": "gateways",
            "Key": key,
            "UpdateExpression": "SET holder = :me, #v = if_not_exists(#v, :zero) + :one",
            "ConditionExpression": "attribute_not_exists(#v) OR #v = :seen",
            "ExpressionAttributeNames": {"#v": "version"},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            "ReturnValues": "UPDATED_NEW",
        }

        def values(me, seen):
            return {":me": {"S": me}, ":seen": {"N": str(seen)}, ":zero": {"N": "0"}, ":one": {"N": "1"}}

        taken = self.dynamodb.update_item(**take, ExpressionAttributeValues=values("a", 0))
        self.assertEqual(taken["Attributes"], {"holder": {"S": "a"}, "version": {"N": "1"}})
        lost = self.refused(
            "ConditionalCheckFailedException",
            self.dynamodb.update_item,
            **take,
            ExpressionAttributeValues=values("b", 0),
        )
        self.assertEqual(lost["Error"]["Message"], "The conditional request failed")
        self.assertEqual(lost["Item"], {**key, "holder": {"S": "a"}, "version": {"N": "1"}})
        self.dynamodb.update_item(**take, ExpressionAttributeValues=values("b", 1))
        item = self.dynamodb.get_item(TableName="gateways", Key=key, ConsistentRead=True)["Item"]
        self.assertEqual(item["holder"], {"S": "b"})
        old = self.dynamodb.delete_item(TableName="gateways", Key=key, ReturnValues="ALL_OLD")
        self.assertEqual(old["Attributes"], item)
        self.assertNotIn("Item", self.dynamodb.get_item(TableName="gateways", Key=key))

    def test_beats_are_read_in_pages(self):
        for name in ["c", "a", "b"]:
            item = {"pk": {"S": "beats"}, "sk": {"S": name}, "asked": {"M": {"web": {"N": "1.5"}}}, "raw": {"B": b"\0"}}
            self.dynamodb.put_item(TableName="gateways", Item=item)
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName="gateways",
            KeyConditionExpression="#g = :g AND sk >= :a",
            ExpressionAttributeNames={"#g": "pk"},
            ExpressionAttributeValues={":g": {"S": "beats"}, ":a": {"S": "a"}},
            PaginationConfig={"PageSize": 2},
        )
        items = [page["Items"] for page in pages]
        self.assertEqual([[item["sk"]["S"] for item in page] for page in items], [["a", "b"], ["c"]])
        self.assertEqual(items[0][0]["raw"], {"B": b"\0"})

    def test_throttling(self):
        self.cloud.fault({"dynamodb": {"throttle": {}}})
        self.addCleanup(self.cloud.clear)
        self.refused("ThrottlingException", self.dynamodb.describe_table, TableName="gateways")


class S3(cloud.Case):
    """History, as a gateway keeps it."""

    @classmethod
    def configuration(cls):
        return {"buckets": ["history"]}

    def setUp(self):
        self.s3 = self.cloud.client("s3")

    def test_objects(self):
        body = bytes(range(256)) * 1000
        key = "pacer/day 1/ő=2026+11.bin"
        put = self.s3.put_object(Bucket="history", Key=key, Body=body, Metadata={"version": "1"})
        self.assertEqual(put["ETag"], f'"{hashlib.md5(body).hexdigest()}"')
        self.assertIn("ChecksumCRC32", put)
        got = self.s3.get_object(Bucket="history", Key=key)
        self.assertEqual((got["Body"].read(), got["ETag"]), (body, put["ETag"]))
        self.assertEqual(got["Metadata"], {"version": "1"})
        head = self.s3.head_object(Bucket="history", Key=key)
        self.assertEqual((head["ContentLength"], head["ETag"]), (len(body), put["ETag"]))
        self.s3.delete_object(Bucket="history", Key=key)
        self.refused("NoSuchKey", self.s3.get_object, Bucket="history", Key=key)
        self.refused("404", self.s3.head_object, Bucket="history", Key=key)
        self.refused("NoSuchBucket", self.s3.get_object, Bucket="nowhere", Key=key)
        self.s3.put_object(Bucket="history", Key="sha", Body=b"x", ChecksumAlgorithm="SHA256")
        once = {"Bucket": "history", "Key": "once", "Body": b"x", "IfNoneMatch": "*"}
        self.s3.put_object(**once)
        self.refused("PreconditionFailed", self.s3.put_object, **once)

    def test_lists(self):
        self.s3.create_bucket(Bucket="made", CreateBucketConfiguration={"LocationConstraint": cloud.REGION})
        self.s3.get_waiter("bucket_exists").wait(Bucket="made")
        keys = [f"a/{n} &<ő" for n in range(5)]
        for key in [*keys, "b/1"]:
            self.s3.put_object(Bucket="made", Key=key, Body=b"")
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket="made", Prefix="a/", PaginationConfig={"PageSize": 2}
        )
        found = [[entry["Key"] for entry in page["Contents"]] for page in pages]
        self.assertEqual(found, [keys[:2], keys[2:4], keys[4:]])
        self.assertEqual(self.s3.list_objects_v2(Bucket="made", Prefix="c")["KeyCount"], 0)

    def test_the_command_line(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"from a file")
            file.flush()
            arguments = ["--bucket", "history", "--key", "cli"]
            put = self.cloud.aws("s3api", "put-object", *arguments, "--body", file.name)
            with tempfile.NamedTemporaryFile() as back:
                got = self.cloud.aws("s3api", "get-object", *arguments, back.name)
                self.assertEqual((got["ETag"], back.read()), (put["ETag"], b"from a file"))

    def test_slow_down(self):
        self.cloud.fault({"s3": {"throttle": {}}})
        self.addCleanup(self.cloud.clear)
        self.refused("SlowDown", self.s3.list_objects_v2, Bucket="history")


class CloudWatch(cloud.Case):
    """What a load balancer was asked."""

    @classmethod
    def configuration(cls):
        return {}

    def setUp(self):
        self.cloudwatch = self.cloud.client("cloudwatch")
        now = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
        self.start = now - datetime.timedelta(hours=3)

    def put(self, namespace, minutes):
        data = [
            {
                "MetricName": "RequestCount",
                "Dimensions": TARGET,
                "Timestamp": self.start + datetime.timedelta(minutes=minute),
                "Value": minute,
                "Unit": "Count",
            }
            for minute in minutes
        ]
        # Above 10 KB boto3 compresses it.
        self.cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)

    def ask(self, namespace, period=60, stat="Sum", **arguments):
        metric = {"Namespace": namespace, "MetricName": "RequestCount", "Dimensions": TARGET}
        stat = {"Metric": metric, "Period": period, "Stat": stat}
        return {
            "MetricDataQueries": [{"Id": "asked", "MetricStat": stat}],
            "StartTime": self.start,
            "EndTime": self.start + datetime.timedelta(hours=2),
            **arguments,
        }

    def test_requests_of_a_target_group(self):
        self.put("AWS/ApplicationELB", range(120))
        ask = self.ask("AWS/ApplicationELB", ScanBy="TimestampAscending", MaxDatapoints=50)
        values, times = [], []
        token = {}
        while True:
            page = self.cloudwatch.get_metric_data(**ask, **token)
            (result,) = page["MetricDataResults"]
            self.assertLessEqual(len(result["Values"]), 50)
            values += result["Values"]
            times += result["Timestamps"]
            if "NextToken" not in page:
                break
            self.assertEqual(result["StatusCode"], "PartialData")
            token = {"NextToken": page["NextToken"]}
        self.assertEqual((values, result["StatusCode"]), (list(range(120)), "Complete"))
        self.assertEqual(times, [self.start + datetime.timedelta(minutes=minute) for minute in range(120)])
        (result,) = self.cloudwatch.get_metric_data(**self.ask("AWS/ApplicationELB", 3600))["MetricDataResults"]
        # The latest comes first, unless otherwise asked.
        self.assertEqual(result["Values"], [sum(range(60, 120)), sum(range(60))])
        average = self.cloudwatch.get_metric_data(**self.ask("AWS/ApplicationELB", 3600, "Average"))
        self.assertEqual(average["MetricDataResults"][0]["Values"], [89.5, 29.5])

    def test_refusals(self):
        self.refused("ValidationError", self.cloudwatch.get_metric_data, **self.ask("any", 10))
        self.refused("ValidationError", self.cloudwatch.get_metric_data, **self.ask("any", 60, "p99"))
        self.refused("InvalidNextToken", self.cloudwatch.get_metric_data, **self.ask("any", NextToken="x"))
        self.cloud.fault({"cloudwatch": {"throttle": {}}})
        self.addCleanup(self.cloud.clear)
        self.refused("Throttling", self.cloudwatch.get_metric_data, **self.ask("any"))

    def test_the_command_line(self):
        at = self.start.isoformat()
        dimension = "TargetGroup=targetgroup/web/0123456789abcdef"
        put = ["--namespace", "cli", "--metric-name", "RequestCount", "--value", "7", "--dimensions", dimension]
        self.assertIsNone(self.cloud.aws("cloudwatch", "put-metric-data", *put, "--timestamp", at))
        (result,) = self.cloudwatch.get_metric_data(**self.ask("cli"))["MetricDataResults"]
        self.assertEqual((result["Values"], result["Timestamps"]), ([7.0], [self.start]))


if __name__ == "__main__":
    unittest.main()
