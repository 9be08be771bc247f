"""Lambda with boto3, of any version from 1.26 on, area by area. The server's address comes in BRUME_ENDPOINT, the runtime in
RUNTIME; keys and region come in the usual variables. Exits with 0 if every step was right."""
import base64
import io
import json
import os
import time
import urllib.error
import urllib.request
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["BRUME_ENDPOINT"]
RUNTIME = os.environ["RUNTIME"]
REGION = os.environ["AWS_DEFAULT_REGION"]
ACCOUNT = "000000000000"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:"


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT, config=Config(retries={"max_attempts": 1}))


aws = client("lambda")


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was allowed")


def same(got, want):
    assert got == want, f"got {got}, want {want}"


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in files.items():
            archive.writestr(name.replace("__", "/") + ".py", body)
    return out.getvalue()


def role(name, *actions):
    iam = client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if actions:
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=json.dumps(policy))
    return arn


def make(name, body, role_arn, **more):
    out = aws.create_function(FunctionName=name, Runtime=RUNTIME, Role=role_arn, Handler="index.handler", Timeout=20,
                              Code={"ZipFile": zipped(index=body)}, **more)
    aws.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return out


def call(name, payload, **more):
    out = aws.invoke(FunctionName=name, Payload=json.dumps(payload), **more)
    body = json.loads(out["Payload"].read())
    assert "FunctionError" not in out, body
    return body


def functions(arn):
    made = make("f", "def handler(e, c): return {'got': e, 'arn': c.invoked_function_arn, 'context': c.client_context and c.client_context.custom}", arn,
                Environment={"Variables": {"AB": "1"}}, Tags={"team": "blue"})
    same(made["State"], "Pending")
    same(call("f", 1)["got"], 1)
    for name in (f"{ACCOUNT}:function:f", ARN + "f", ARN + "f:$LATEST"):
        same(call(name, 2)["got"], 2)
    context = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    same(call("f", 3, ClientContext=context)["context"], {"k": "v"})
    tail = aws.invoke(FunctionName="f", Payload="{}", LogType="Tail")
    assert b"REPORT RequestId" in base64.b64decode(tail["LogResult"])
    assert "is too large for the RequestResponse invocation type" in refused(
        "RequestTooLargeException", aws.invoke, FunctionName="f", Payload=json.dumps("x" * (6 << 20)))
    assert "is too large for the Event invocation type" in refused(
        "RequestTooLargeException", aws.invoke, FunctionName="f", InvocationType="Event", Payload=json.dumps("x" * (1 << 20)))
    same(aws.invoke(FunctionName="f", InvocationType="DryRun")["StatusCode"], 204)
    got = aws.get_function(FunctionName="f")
    same((got["Tags"], got["Configuration"]["State"]), ({"team": "blue"}, "Active"))
    with urllib.request.urlopen(got["Code"]["Location"]) as resp:
        same(len(resp.read()), got["Configuration"]["CodeSize"])
    stale = got["Configuration"]["RevisionId"]
    dry = aws.update_function_code(FunctionName="f", ZipFile=zipped(index="def handler(e, c): return 'new'"), DryRun=True)
    same(call("f", 1)["got"], 1)
    one = aws.update_function_code(FunctionName="f", ZipFile=zipped(index="def handler(e, c): return 'one'"), Publish=True)
    same(one["Version"], "1")
    assert dry["CodeSha256"] != one["CodeSha256"]
    aws.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
    refused("PreconditionFailedException", aws.update_function_configuration, FunctionName="f", Description="x", RevisionId=stale)
    for bad in ({"Timeout": 901}, {"MemorySize": 10241}, {"EphemeralStorage": {"Size": 10241}}):  # botocore checks minima itself
        assert refused("ValidationException", aws.update_function_configuration, FunctionName="f", **bad)
    assert "AWS_REGION" in refused("InvalidParameterValueException", aws.update_function_configuration, FunctionName="f",
                                   Environment={"Variables": {"AWS_REGION": "x"}})
    assert "4KB" in refused("InvalidParameterValueException", aws.update_function_configuration, FunctionName="f",
                            Environment={"Variables": {"AB": "x" * 5000}})


def aliases(arn):
    aws.update_function_code(FunctionName="f", ZipFile=zipped(index="def handler(e, c): return 'two'"))
    same(aws.publish_version(FunctionName="f")["Version"], "2")
    aws.create_alias(FunctionName="f", Name="prod", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    answers = {call("f", 0, Qualifier="prod") for _ in range(40)}
    same(answers, {"one", "two"})
    same(call("f:1", 0), "one")
    aws.update_alias(FunctionName="f", Name="prod", RoutingConfig={"AdditionalVersionWeights": {}})
    same({call("f:prod", 0) for _ in range(10)}, {"one"})
    refused("ResourceConflictException", aws.delete_function, FunctionName="f", Qualifier="1")
    same([v["Version"] for v in aws.list_versions_by_function(FunctionName="f")["Versions"]], ["$LATEST", "1", "2"])


def layers(arn):
    published = aws.publish_layer_version(LayerName="lib", Content={"ZipFile": zipped(python__lib="x = 7")}, CompatibleRuntimes=[RUNTIME])
    make("layered", "import lib\ndef handler(e, c): return lib.x", arn, Layers=[published["LayerVersionArn"]])
    same(call("layered", 0), 7)
    same(aws.list_layers()["Layers"][0]["LatestMatchingVersion"]["Version"], 1)
    aws.add_layer_version_permission(LayerName="lib", VersionNumber=1, StatementId="all", Action="lambda:GetLayerVersion", Principal="*")
    assert '"all"' in aws.get_layer_version_policy(LayerName="lib", VersionNumber=1)["Policy"]
    aws.delete_layer_version(LayerName="lib", VersionNumber=1)
    refused("ResourceNotFoundException", aws.get_layer_version, LayerName="lib", VersionNumber=1)
    same(call("layered", 0), 7)


def permissions(arn):
    aws.add_permission(FunctionName="f", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com",
                       SourceArn="arn:aws:s3:::b", SourceAccount=ACCOUNT)
    statement = json.loads(aws.get_policy(FunctionName="f")["Policy"])["Statement"][0]
    same(statement["Condition"], {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}, "StringEquals": {"AWS:SourceAccount": ACCOUNT}})
    refused("ResourceConflictException", aws.add_permission, FunctionName="f", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com")
    aws.remove_permission(FunctionName="f", StatementId="s3")
    refused("ResourceNotFoundException", aws.get_policy, FunctionName="f")


def urls(arn):
    made = aws.create_function_url_config(FunctionName="f", AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    identity = made["FunctionUrl"].split("//")[1].split(".")[0]
    url = f"{ENDPOINT}/_aws/lambda-url/{identity}/"
    try:
        urllib.request.urlopen(url)
        raise AssertionError("everybody may call it")
    except urllib.error.HTTPError as e:
        same(e.code, 403)
    aws.add_permission(FunctionName="f", StatementId="url", Action="lambda:InvokeFunctionUrl", Principal="*", FunctionUrlAuthType="NONE")
    aws.add_permission(FunctionName="f", StatementId="invoke", Action="lambda:InvokeFunction", Principal="*")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Origin": "https://a"})) as resp:
        same((resp.read(), resp.headers["Access-Control-Allow-Origin"]), (b'"two"', "*"))
    same(len(aws.list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]), 1)
    aws.delete_function_url_config(FunctionName="f")
    refused("ResourceNotFoundException", aws.get_function_url_config, FunctionName="f")


def concurrency(arn):
    aws.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    try:
        aws.invoke(FunctionName="f", Payload="{}")
        raise AssertionError("it ran without concurrency")
    except ClientError as e:
        same((e.response["Error"]["Code"], e.response["Reason"]), ("TooManyRequestsException", "ReservedFunctionConcurrentInvocationLimitExceeded"))
    assert "below its minimum value of [100]" in refused("InvalidParameterValueException", aws.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=901)
    aws.delete_function_concurrency(FunctionName="f")
    aws.put_provisioned_concurrency_config(FunctionName="f", Qualifier="2", ProvisionedConcurrentExecutions=1)
    until(lambda: aws.get_provisioned_concurrency_config(FunctionName="f", Qualifier="2")["Status"] == "READY")
    same(call("f:2", 0), "two")
    aws.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="2")


def until(done):
    for _ in range(300):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("not after 30 s")


WRITER = """
import boto3, json
kept = boto3.resource('dynamodb').Table('kept')
def handler(e, c):
  kept.put_item(Item={'id': c.aws_request_id, 'event': json.dumps(e)})
"""


def kept():
    return [json.loads(i["event"]["S"]) for i in client("dynamodb").scan(TableName="kept")["Items"]]


def table(name, **more):
    return client("dynamodb").create_table(TableName=name, BillingMode="PAY_PER_REQUEST", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                                           KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], **more)["TableDescription"]


def asynchronous(arn):
    table("kept")
    writer = role("writer", "dynamodb:*", "lambda:InvokeFunction")
    make("writer", WRITER, writer, MemorySize=256)
    make("fails", "def handler(e, c): raise ValueError('no')", writer)
    aws.put_function_event_invoke_config(FunctionName="fails", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": ARN + "writer"}})
    same(aws.invoke(FunctionName="fails", InvocationType="Event", Payload='"e"')["StatusCode"], 202)
    until(lambda: len(kept()) == 1)
    record = kept()[0]
    same((record["version"], record["requestPayload"], record["requestContext"]["condition"], record["responsePayload"]["errorMessage"]),
         ("1.0", "e", "RetriesExhausted", "no"))


def streams(arn):
    stream = table("source", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})["LatestStreamArn"]
    mapping = aws.create_event_source_mapping(FunctionName="writer", EventSourceArn=stream, StartingPosition="TRIM_HORIZON",
                                              FilterCriteria={"Filters": [{"Pattern": '{"dynamodb":{"Keys":{"id":{"S":[{"prefix":"yes"}]}}}}'}]})
    for key in ("no", "yes-1"):
        client("dynamodb").put_item(TableName="source", Item={"id": {"S": key}})
    until(lambda: len(kept()) == 2)
    event = [e for e in kept() if "Records" in e][0]
    same([r["dynamodb"]["Keys"]["id"]["S"] for r in event["Records"]], ["yes-1"])
    until(lambda: aws.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled")
    aws.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    until(lambda: aws.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Disabled")
    same(aws.delete_event_source_mapping(UUID=mapping["UUID"])["State"], "Deleting")
    until(lambda: aws.list_event_source_mappings()["EventSourceMappings"] == [])


def settings(arn):
    config = aws.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/p/0"]})
    aws.put_function_code_signing_config(FunctionName="f", CodeSigningConfigArn=config["CodeSigningConfig"]["CodeSigningConfigArn"])
    aws.delete_function_code_signing_config(FunctionName="f")
    aws.delete_code_signing_config(CodeSigningConfigArn=config["CodeSigningConfig"]["CodeSigningConfigArn"])
    if hasattr(aws, "get_runtime_management_config"):
        same(aws.get_runtime_management_config(FunctionName="f")["UpdateRuntimeOn"], "Auto")
    limits = aws.get_account_settings()["AccountLimit"]
    same((limits["ConcurrentExecutions"], limits["CodeSizeUnzipped"]), (1000, 262144000))
    aws.tag_resource(Resource=ARN + "f", Tags={"a": "b"})
    same(aws.list_tags(Resource=ARN + "f")["Tags"], {"a": "b", "team": "blue"})
    for name in ("f", "layered", "writer", "fails"):
        aws.delete_function(FunctionName=name)
    same(aws.list_functions()["Functions"], [])


if __name__ == "__main__":
    execution = role("execution")
    for area in (functions, aliases, layers, permissions, urls, concurrency, asynchronous, streams, settings):
        area(execution)
        print("right:", area.__name__)
