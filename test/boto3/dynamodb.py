"""DynamoDB through boto3: resources and clients, conditions, writers, paginators, waiters."""

import decimal
import os
import unittest

import boto3
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError

D = decimal.Decimal
ENDPOINT = os.environ["BRUME_ENDPOINT"]
resource = boto3.resource("dynamodb", endpoint_url=ENDPOINT)
# The resource's client speaks Python's types, the plain one the API's.
client = resource.meta.client
plain = boto3.client("dynamodb", endpoint_url=ENDPOINT)


def key(hash_key, sort_key=None):
    keys = [{"AttributeName": hash_key, "KeyType": "HASH"}]
    return keys + ([{"AttributeName": sort_key, "KeyType": "RANGE"}] if sort_key else [])


class DynamoDB(unittest.TestCase):
    def setUp(self):
        self.table = resource.create_table(
            TableName="items",
            KeySchema=key("pk", "sk"),
            AttributeDefinitions=[
                {"AttributeName": n, "AttributeType": t} for n, t in (("pk", "S"), ("sk", "N"), ("g", "S"), ("l", "B"))
            ],
            LocalSecondaryIndexes=[
                {"IndexName": "local", "KeySchema": key("pk", "l"), "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["n"]}}
            ],
            GlobalSecondaryIndexes=[{"IndexName": "global", "KeySchema": key("g", "sk"), "Projection": {"ProjectionType": "ALL"}}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.table.wait_until_exists()

    def tearDown(self):
        self.table.delete()
        self.table.wait_until_not_exists()

    def fails(self, code, part, call, **arguments):
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        error = caught.exception.response["Error"]
        self.assertEqual(code, error["Code"])
        self.assertIn(part, error["Message"])
        return caught.exception.response

    def fill(self, n=30):
        with self.table.batch_writer() as writer:
            for i in range(n):
                writer.put_item(Item={"pk": "p%d" % (i % 3), "sk": i, "g": "g%d" % (i % 2), "l": Binary(bytes([i])), "n": D(i) / 2})

    def test_types(self):
        item = {
            "pk": "types", "sk": D("-1.5"), "str": "ü€", "empty": "", "bytes": Binary(b"\x00\xff"), "true": True, "none": None,
            "list": [D(1), ["x", {}], {"deep": [None, False]}], "map": {"a": {"b": D("1E+3")}},
            "ss": {"a", "b"}, "ns": {D(1), D("2.5")}, "bs": {Binary(b"a"), Binary(b"b")},
        }
        self.table.put_item(Item=item)
        self.assertEqual(item, self.table.get_item(Key={"pk": "types", "sk": D("-1.50")}, ConsistentRead=True)["Item"])
        self.assertNotIn("Item", self.table.get_item(Key={"pk": "types", "sk": 0}))

    def test_update(self):
        update = lambda **more: self.table.update_item(Key={"pk": "a", "sk": 1}, **more)
        update(UpdateExpression="SET n = :one, l1 = :l, m = :m", ExpressionAttributeValues={":one": 1, ":l": [1, 2, 3], ":m": {"x": 1}})
        out = update(
            UpdateExpression="SET m.y = m.x + :one, l1[5] = :one REMOVE l1[0] ADD n :one, s :s",
            ExpressionAttributeValues={":one": 1, ":s": {"a", "b"}}, ReturnValues="ALL_NEW",
        )["Attributes"]
        self.assertEqual({"pk": "a", "sk": 1, "n": 2, "l1": [2, 3, 1], "m": {"x": 1, "y": 2}, "s": {"a", "b"}}, out)
        out = update(
            UpdateExpression="DELETE s :s SET n = n - :one", ExpressionAttributeValues={":one": 1, ":s": {"a"}},
            ConditionExpression=Attr("n").eq(2) & Attr("s").contains("a") & ~Attr("nope").exists(), ReturnValues="UPDATED_NEW",
        )["Attributes"]
        self.assertEqual({"n": 1, "s": {"b"}}, out)
        response = self.fails(
            "ConditionalCheckFailedException", "The conditional request failed", update,
            UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": 0}, ConditionExpression=Attr("n").gt(1) | Attr("m.x").between(5, 6),
        )
        self.assertEqual(400, response["ResponseMetadata"]["HTTPStatusCode"])
        self.fails("ValidationException", "Cannot update attribute sk", update, UpdateExpression="SET sk = :n", ExpressionAttributeValues={":n": 0})
        old = self.table.delete_item(Key={"pk": "a", "sk": 1}, ReturnValues="ALL_OLD")["Attributes"]
        self.assertEqual(1, old["n"])

    def test_conditions_of_old(self):
        self.table.put_item(Item={"pk": "a", "sk": 1, "n": 1}, Expected={"pk": {"Exists": False}})
        self.fails(
            "ConditionalCheckFailedException", "", self.table.put_item, Item={"pk": "a", "sk": 1},
            Expected={"n": {"ComparisonOperator": "GT", "AttributeValueList": [1]}},
        )
        out = self.table.update_item(
            Key={"pk": "a", "sk": 1}, AttributeUpdates={"n": {"Action": "ADD", "Value": 2}, "gone": {"Action": "DELETE"}}, ReturnValues="UPDATED_NEW"
        )
        self.assertEqual({"n": 3}, out["Attributes"])

    def test_query(self):
        self.fill()
        items = self.table.query(KeyConditionExpression=Key("pk").eq("p1") & Key("sk").between(5, 20), FilterExpression=Attr("n").gt(4))["Items"]
        self.assertEqual([10, 13, 16, 19], [i["sk"] for i in items])
        items = self.table.query(IndexName="global", KeyConditionExpression=Key("g").eq("g1") & Key("sk").lt(6), ScanIndexForward=False)["Items"]
        self.assertEqual([5, 3, 1], [i["sk"] for i in items])
        out = self.table.query(
            IndexName="local", KeyConditionExpression=Key("pk").eq("p0") & Key("l").begins_with(b"\x03"), ProjectionExpression="#n, sk",
            ExpressionAttributeNames={"#n": "n"}, ReturnConsumedCapacity="INDEXES",
        )
        self.assertEqual([{"n": D("1.5"), "sk": 3}], out["Items"])
        self.assertEqual(0.5, out["ConsumedCapacity"]["LocalSecondaryIndexes"]["local"]["CapacityUnits"])
        self.fails("ValidationException", "Query condition missed key schema element: pk", self.table.query, KeyConditionExpression=Key("sk").eq(1))
        count = self.table.query(KeyConditionExpression=Key("pk").eq("p2"), Select="COUNT")
        self.assertEqual((10, 10), (count["Count"], count["ScannedCount"]))

    def test_paginators(self):
        self.fill()
        pages = list(client.get_paginator("scan").paginate(TableName="items", PaginationConfig={"PageSize": 7}))
        self.assertEqual(sorted(range(30)), sorted(int(i["sk"]) for p in pages for i in p["Items"]))
        self.assertEqual([7, 7, 7, 7, 2], [len(p["Items"]) for p in pages])
        pages = plain.get_paginator("query").paginate(
            TableName="items", KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p0"}},
            PaginationConfig={"PageSize": 4, "MaxItems": 6},
        )
        result = pages.build_full_result()
        self.assertEqual(["0", "3", "6", "9", "12", "15"], [i["sk"]["N"] for i in result["Items"]])
        self.assertIn("NextToken", result)
        segments = [self.table.scan(Segment=s, TotalSegments=3)["Items"] for s in range(3)]
        self.assertEqual(30, sum(map(len, segments)))

    def test_batches(self):
        with self.table.batch_writer(overwrite_by_pkeys=["pk", "sk"]) as writer:
            for i in range(60):
                writer.put_item(Item={"pk": "a", "sk": i % 40, "n": i})
            for i in range(10):
                writer.delete_item(Key={"pk": "a", "sk": i})
        keys = [{"pk": "a", "sk": i} for i in range(40)]
        out = resource.batch_get_item(RequestItems={"items": {"Keys": keys, "ProjectionExpression": "n"}})
        self.assertEqual(sorted([{"n": i} for i in range(20, 60) if i % 40 >= 10], key=str), sorted(out["Responses"]["items"], key=str))
        self.assertEqual({}, out["UnprocessedKeys"])
        self.fails("ValidationException", "contains duplicates", resource.batch_get_item, RequestItems={"items": {"Keys": keys[:1] * 2}})

    def test_transactions(self):
        put = lambda n: {"Put": {"TableName": "items", "Item": {"pk": "t", "sk": n}, "ConditionExpression": "attribute_not_exists(pk)"}}
        client.transact_write_items(TransactItems=[put(1), put(2)], ClientRequestToken="token")
        client.transact_write_items(TransactItems=[put(1), put(2)], ClientRequestToken="token")
        response = self.fails("TransactionCanceledException", "[None, ConditionalCheckFailed]", client.transact_write_items, TransactItems=[put(3), put(2)])
        self.assertEqual(["None", "ConditionalCheckFailed"], [r["Code"] for r in response["CancellationReasons"]])
        got = client.transact_get_items(TransactItems=[{"Get": {"TableName": "items", "Key": {"pk": "t", "sk": n}}} for n in (2, 3)])
        self.assertEqual([{"Item": {"pk": "t", "sk": 2}}, {}], got["Responses"])

    def test_statements(self):
        for i in range(5):
            client.execute_statement(Statement="INSERT INTO items VALUE {'pk': ?, 'sk': ?, 'tags': <<'x'>>}", Parameters=["s", i])
        items, arguments = [], {"Statement": "SELECT * FROM items WHERE pk = 's' AND sk IN [1, 2, 4]", "Limit": 2}
        while True:
            page = client.execute_statement(**arguments)
            items += page["Items"]
            if "NextToken" not in page:
                break
            arguments["NextToken"] = page["NextToken"]
        self.assertEqual([1, 2, 4], [i["sk"] for i in items])
        self.assertEqual({"x"}, items[0]["tags"])
        self.fails(
            "DuplicateItemException", "Duplicate primary key", client.execute_statement, Statement="INSERT INTO items VALUE {'pk': 's', 'sk': 0}"
        )
        out = client.batch_execute_statement(Statements=[{"Statement": "DELETE FROM items WHERE pk = 's' AND sk = %d RETURNING ALL OLD *" % n} for n in (0, 9)])
        self.assertEqual(["s", None], [r.get("Item", {}).get("pk") for r in out["Responses"]])


if __name__ == "__main__":
    unittest.main()
