"""Several gateways find each other, divide slots and agree on one leader by a table on emulators of DynamoDB that others wrote."""

import json
import sys
import unittest
import urllib.request

import cloud
import emulators

TABLE = "pacer-gateways"
GROUP = "prod"
SLOTS = 5
# Nobody listens there: a task's slots are divided whether it is ready or not.
SERVICES = {"web": {"container": {"upstreams": ["http://127.0.0.1:9"], "requests_per_task": SLOTS}}}
ROUTES = [{"match": {}, "service": "web"}]


class Case(emulators.Case):
    """Gateways that share a table, made as docs/policy.md says."""

    def emulator(self, command, environment):
        super().emulator(command, environment)
        self.table = self.client("dynamodb")
        self.table.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "group", "KeyType": "HASH"}, {"AttributeName": "item", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "group", "AttributeType": "S"}, {"AttributeName": "item", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )

    def start(self):
        """Starts a gateway; returns its program and its admin API."""
        program = self.gateway(SERVICES, ROUTES, gateways={"table": TABLE, "group": GROUP})
        return program, self.admin

    def told(self, admin, path="/status"):
        with urllib.request.urlopen(f"{admin}{path}", timeout=cloud.PATIENCE) as answer:
            return json.load(answer)

    def state(self, admin):
        return self.told(admin)["gateways"]

    def slots(self, admin):
        return self.told(admin, "/services")[0]["container"]["tasks"][0]["slots"]

    def items(self):
        """What the table has of the group, by range key."""
        names, values = {"#group": "group"}, {":group": {"S": GROUP}}
        found = self.table.query(
            TableName=TABLE, ConsistentRead=True, KeyConditionExpression="#group = :group",
            ExpressionAttributeNames=names, ExpressionAttributeValues=values,
        )["Items"]
        return {item["item"]["S"]: item for item in found}

    def leads(self, admin):
        return self.state(admin)["leader"]

    def renew(self, number):
        """Writes the lease of a gateway that this test is."""
        self.table.put_item(TableName=TABLE, Item={
            "group": {"S": GROUP}, "item": {"S": "lease"}, "holder": {"S": "other"},
            "version": {"S": f"other-{number}"}, "length_ms": {"N": "8000"},
        })


class Contract:
    """What must hold on every emulator."""

    def test_two_divide_slots_one_leads_and_the_other_follows_it(self):
        first, a = self.start()
        self.until("the first leads", lambda: self.leads(a))
        self.assertEqual((self.slots(a), self.state(a)["live"]), (SLOTS, 1))
        _, b = self.start()
        # It takes requests only when it has its share.
        self.assertEqual(self.slots(a) + self.slots(b), SLOTS)
        self.until("they know each other", lambda: [self.state(at)["live"] for at in (a, b)] == [2, 2])
        self.until("all slots are in use", lambda: self.slots(a) + self.slots(b) == SLOTS and self.slots(b))
        self.assertEqual([self.leads(a), self.leads(b)], [True, False])

        items = self.items()
        ids = [self.state(at)["id"] for at in (a, b)]
        self.assertEqual(set(items), {"lease", *(f"beat#{id}" for id in ids)})
        self.assertEqual(items["lease"]["holder"]["S"], ids[0])
        beat = items[f"beat#{ids[1]}"]
        self.assertEqual(beat["view"]["S"].split(), sorted(ids))
        self.assertGreater(int(beat["expires"]["N"]), int(beat["started"]["N"]))
        sequence = int(beat["sequence"]["N"])
        self.until("it beats", lambda: int(self.items()[f"beat#{ids[1]}"]["sequence"]["N"]) > sequence)

        first.end()
        self.until("the other leads", lambda: self.leads(b))
        self.assertEqual(set(self.items()), {"lease", f"beat#{ids[1]}"})
        self.until("all slots are its own", lambda: self.slots(b) == SLOTS)

    def test_a_lease_that_is_renewed_is_not_taken_and_one_that_is_not_runs_out(self):
        self.renew(0)
        _, admin = self.start()
        self.until("it has seen who leads", lambda: self.state(admin)["lease"]["holder"] == "other")
        versions = iter(range(1, 1_000_000))
        sequence = lambda: int(self.items()[f"beat#{self.state(admin)['id']}"]["sequence"]["N"])
        # Six of its rounds and more: longer than a lease.
        end = sequence() + 6

        def renewed():
            self.renew(next(versions))
            self.assertFalse(self.leads(admin))
            return end <= sequence()

        self.until("it has seen the lease renewed", renewed)
        self.assertEqual(self.items()["lease"]["holder"]["S"], "other")
        self.until("it leads", lambda: self.leads(admin))
        self.assertEqual(self.items()["lease"]["holder"]["S"], self.state(admin)["id"])
        # Somebody who slept writes over it without looking: nobody acts on a lease that is not its own.
        self.renew(0)
        self.until("it has lost it", lambda: not self.leads(admin))


class Moto(Contract, Case):
    def setUp(self):
        self.emulator([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "{port}"], {})


class MiniStack(Contract, Case):
    def setUp(self):
        self.emulator([sys.executable, "-m", "ministack"], {"BIND_HOST": "127.0.0.1"})


if __name__ == "__main__":
    unittest.main()
