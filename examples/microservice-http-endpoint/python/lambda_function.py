"""A microservice over HTTP: each method is one DynamoDB operation on the table that the request names."""
import base64
import json
from decimal import Decimal

import boto3

# The client of a resource takes and returns plain values, {"username": "bob"}, and not {"username": {"S": "bob"}}.
dynamodb = boto3.resource("dynamodb").meta.client

OPERATIONS = {
    "DELETE": dynamodb.delete_item,
    "GET": dynamodb.scan,
    "POST": dynamodb.put_item,
    "PUT": dynamodb.update_item,
}


def lambda_handler(event, context):
    method = event.get("httpMethod")
    operation = OPERATIONS.get(method)
    if operation is None:
        return failure('Unsupported method "{}"'.format(method))
    try:
        result = operation(**parameters(method, event))
    except Exception as e:  # what the caller asked for is wrong, or not allowed: the message says which
        print("{} failed: {}".format(method, e))
        return failure(str(e))
    result.pop("ResponseMetadata", None)
    return {
        "statusCode": 200,
        "body": json.dumps(result, default=plain),
        "headers": {"Content-Type": "application/json"},
    }


def parameters(method, event):
    """Returns the operation's parameters: of a GET the table's name, otherwise all of the body."""
    if method == "GET":
        return {"TableName": (event.get("queryStringParameters") or {}).get("TableName")}
    # DynamoDB's numbers are decimal.
    return json.loads(event.get("body") or "{}", parse_float=Decimal)


def failure(message):
    return {"statusCode": 400, "body": message, "headers": {"Content-Type": "text/plain"}}


def plain(value):
    """Turns what an item may hold and JSON does not know into JSON."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, set):
        return sorted(value)
    if hasattr(value, "value"):  # boto3's Binary
        return base64.b64encode(value.value).decode()
    raise TypeError("cannot write {} as JSON".format(type(value).__name__))
