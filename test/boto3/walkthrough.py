"""The walkthrough with boto3, of any version from 1.26 on. The server's address comes in BRUME_ENDPOINT, since old
versions do not read AWS_ENDPOINT_URL; keys and region come in the usual variables. Exits with 0 if every step was right."""
import io
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["BRUME_ENDPOINT"]
EXAMPLES = os.environ["EXAMPLES"]
RUNTIME = os.environ["RUNTIME"]
REGION = os.environ["AWS_DEFAULT_REGION"]


def client(service, key=None, secret=None):
    return boto3.client(service, endpoint_url=ENDPOINT, aws_access_key_id=key, aws_secret_access_key=secret,
                        config=Config(retries={"max_attempts": 1}))


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was allowed")


def post(url, body, key=None):
    headers = {"Content-Type": "application/json"}
    if key:
        headers["x-api-key"] = key
    try:
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def main():
    iam = client("iam")
    iam.create_user(UserName="hacker")
    made = iam.create_access_key(UserName="hacker")["AccessKey"]
    key = (made["AccessKeyId"], made["SecretAccessKey"])
    message = refused("AccessDeniedException", client("dynamodb", *key).list_tables)
    assert "because no identity-based policy allows the dynamodb:ListTables action" in message, message
    managed = [p["Arn"] for page in iam.get_paginator("list_policies").paginate(Scope="AWS") for p in page["Policies"]]
    assert len(managed) > 1000 and "arn:aws:iam::aws:policy/PowerUserAccess" in managed
    iam.attach_user_policy(UserName="hacker", PolicyArn="arn:aws:iam::aws:policy/PowerUserAccess")
    refused("AccessDenied", client("iam", *key).create_user, UserName="another")

    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="microservice", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    assert role["AssumeRolePolicyDocument"] == trust, role
    for name in "AmazonDynamoDBFullAccess", "CloudWatchLogsFullAccess":
        iam.attach_role_policy(RoleName="microservice", PolicyArn="arn:aws:iam::aws:policy/" + name)
    iam.put_user_policy(UserName="hacker", PolicyName="pass", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": role["Arn"]}]}))

    dynamodb = client("dynamodb", *key)
    dynamodb.create_table(TableName="users", BillingMode="PAY_PER_REQUEST",
                          AttributeDefinitions=[{"AttributeName": "username", "AttributeType": "S"}],
                          KeySchema=[{"AttributeName": "username", "KeyType": "HASH"}])
    dynamodb.get_waiter("table_exists").wait(TableName="users", WaiterConfig={"Delay": 1})

    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as z:
        z.write(os.path.join(EXAMPLES, "python", "lambda_function.py"), "lambda_function.py")
    functions = client("lambda", *key)
    function = functions.create_function(
        FunctionName="microservice", Runtime=RUNTIME, Handler="lambda_function.lambda_handler", Role=role["Arn"],
        Code={"ZipFile": code.getvalue()}, Timeout=10)
    functions.get_waiter("function_active_v2").wait(FunctionName="microservice")
    reply = functions.invoke(FunctionName="microservice", LogType="Tail", Payload=json.dumps(
        {"httpMethod": "POST", "body": json.dumps({"TableName": "users", "Item": {"username": "bob"}})}))
    payload = json.loads(reply["Payload"].read())
    assert "FunctionError" not in reply and int(payload["statusCode"]) == 200, payload
    assert "LogResult" in reply
    table = boto3.resource("dynamodb", endpoint_url=ENDPOINT, aws_access_key_id=key[0], aws_secret_access_key=key[1]).Table("users")
    assert table.get_item(Key={"username": "bob"})["Item"] == {"username": "bob"}

    gateway = client("apigateway", *key)
    api = gateway.create_rest_api(name="DynamoBackend")
    root = gateway.get_resources(restApiId=api["id"])["items"][0]
    resource = gateway.create_resource(restApiId=api["id"], parentId=root["id"], pathPart="DynamoBackend")
    where = {"restApiId": api["id"], "resourceId": resource["id"], "httpMethod": "POST"}
    gateway.put_method(authorizationType="NONE", **where)
    gateway.put_integration(type="AWS_PROXY", integrationHttpMethod="POST", uri=(
        f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function['FunctionArn']}/invocations"), **where)
    account = function["FunctionArn"].split(":")[4]
    functions.add_permission(FunctionName="microservice", StatementId="api", Action="lambda:InvokeFunction",
                             Principal="apigateway.amazonaws.com",
                             SourceArn=f"arn:aws:execute-api:{REGION}:{account}:{api['id']}/*/POST/DynamoBackend")
    body = {"TableName": "users", "Item": {"username": "api"}}
    tested = gateway.test_invoke_method(body=json.dumps(body), **where)
    assert tested["status"] == 200 and "Method completed with status: 200" in tested["log"], tested
    gateway.create_deployment(restApiId=api["id"], stageName="dev")

    plan = gateway.create_usage_plan(name="plan", throttle={"rateLimit": 250, "burstLimit": 500},
                                     apiStages=[{"apiId": api["id"], "stage": "dev"}])
    api_key = gateway.create_api_key(name="key", enabled=True)
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=api_key["id"], keyType="API_KEY")
    url = f"{ENDPOINT}/restapis/{api['id']}/dev/_user_request_/DynamoBackend"
    gateway.update_method(patchOperations=[{"op": "replace", "path": "/apiKeyRequired", "value": "true"}], **where)
    assert post(url, body)[0] == 200, "an edit changed something before it was deployed"
    gateway.create_deployment(restApiId=api["id"], stageName="dev")
    assert post(url, body) == (403, '{"message":"Forbidden"}'), post(url, body)
    assert post(url, body, api_key["value"])[0] == 200
    assert sorted(i["username"] for i in table.scan()["Items"]) == ["api", "bob"]

    logs = client("logs", *key)
    group = "/aws/lambda/microservice"
    for _ in range(100):
        lines = []
        try:
            for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
                assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream["logStreamName"]), stream
                lines += [e["message"] for e in logs.get_log_events(
                    logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            pass
        if all(any(line.startswith(word) for line in lines) for word in ("START RequestId", "END RequestId", "REPORT RequestId")):
            break
        time.sleep(0.1)
    else:
        raise AssertionError(lines)

    # All of this is in the audit trail, and no key is.
    pages = client("cloudtrail").get_paginator("lookup_events").paginate(
        LookupAttributes=[{"AttributeKey": "ReadOnly", "AttributeValue": "false"}])
    records = [json.loads(e["CloudTrailEvent"]) for page in pages for e in page["Events"]]
    names = {r["eventName"] for r in records}
    assert {"CreateUser", "CreateFunction20150331", "CreateRestApi", "CreateApiKey"} <= names, names
    refusals = [r for r in records if r.get("errorCode") == "AccessDenied" and r["eventName"] == "CreateUser"]
    assert refusals[0]["userIdentity"]["userName"] == "hacker", refusals
    assert not any(secret in json.dumps(records) for secret in (key[1], api_key["value"]))
    print("ok: boto3", boto3.__version__, "python", sys.version.split()[0])


main()
