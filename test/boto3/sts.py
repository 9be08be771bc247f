"""STS with boto3, of any version from 1.26 on: each operation, and the profiles that assume roles by themselves. The server's
address comes in BRUME_ENDPOINT; keys and region come in the usual variables. Exits with 0 if every step was right."""
import datetime
import json
import os
import tempfile
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["BRUME_ENDPOINT"]
ACCOUNT = "000000000000"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def client(service, credentials=None):
    keys = {}
    if credentials:
        keys = {"aws_access_key_id": credentials["AccessKeyId"], "aws_secret_access_key": credentials["SecretAccessKey"],
                "aws_session_token": credentials.get("SessionToken")}
    return boto3.client(service, endpoint_url=ENDPOINT, config=Config(retries={"max_attempts": 1}), **keys)


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was allowed")


def same(got, want):
    assert got == want, f"got {got}, want {want}"


def allow(action):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def who(credentials=None):
    return client("sts", credentials).get_caller_identity()["Arn"]


def seconds_left(credentials):
    return (credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def roles(iam, key):
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": ROOT},
        "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]}]}
    for name in ("first", "second"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), MaxSessionDuration=7200)
        iam.put_role_policy(RoleName=name, PolicyName="inline", PolicyDocument=allow(["sts:*", "dynamodb:ListTables"]))
    first, second = (f"arn:aws:iam::{ACCOUNT}:role/{name}" for name in ("first", "second"))
    sts = client("sts", key)
    out = sts.assume_role(RoleArn=first, RoleSessionName="s1", DurationSeconds=7200, SourceIdentity="alice",
                          Tags=[{"Key": "team", "Value": "blue"}, {"Key": "x", "Value": "y"}], TransitiveTagKeys=["team"])
    assert 7100 < seconds_left(out["Credentials"]) <= 7200 and 0 < out["PackedPolicySize"] < 100, out
    same(who(out["Credentials"]), f"arn:aws:sts::{ACCOUNT}:assumed-role/first/s1")
    chained = client("sts", out["Credentials"])
    message = refused("ValidationError", chained.assume_role, RoleArn=second, RoleSessionName="s2", DurationSeconds=3601)
    same(message, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
    refused("InvalidParameterValue", chained.assume_role, RoleArn=second, RoleSessionName="s2", Tags=[{"Key": "TEAM", "Value": "red"}])
    refused("AccessDenied", chained.assume_role, RoleArn=second, RoleSessionName="s2", SourceIdentity="mallory")
    out = chained.assume_role(RoleArn=second, RoleSessionName="s2")
    same(out["SourceIdentity"], "alice")
    same(who(out["Credentials"]), f"arn:aws:sts::{ACCOUNT}:assumed-role/second/s2")
    client("dynamodb", out["Credentials"]).list_tables()

    out = sts.assume_role(RoleArn=first, RoleSessionName="s3", PolicyArns=[{"arn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}])
    message = refused("AccessDeniedException", client("dynamodb", out["Credentials"]).list_tables)
    assert message.endswith("because no session policy allows the dynamodb:ListTables action"), message
    refused("MalformedPolicyDocument", sts.assume_role, RoleArn=first, RoleSessionName="s4", Policy="{}")
    refused("AccessDenied", client("sts").assume_role, RoleArn=first, RoleSessionName="s5")
    return first


def users(sts, key):
    out = sts.get_session_token(DurationSeconds=900)["Credentials"]
    assert 800 < seconds_left(out) <= 900, out
    same(who(out), f"arn:aws:iam::{ACCOUNT}:user/alice")
    refused("AccessDenied", client("sts", out).get_session_token)
    refused("InvalidClientTokenId", client("iam", out).list_users)
    refused("InvalidClientTokenId", client("sts", dict(out, SessionToken=None)).get_caller_identity)

    out = sts.get_federation_token(Name="guest", Policy=allow("dynamodb:*"))
    same(out["FederatedUser"], {"FederatedUserId": f"{ACCOUNT}:guest", "Arn": f"arn:aws:sts::{ACCOUNT}:federated-user/guest"})
    same(who(out["Credentials"]), out["FederatedUser"]["Arn"])
    client("dynamodb", out["Credentials"]).list_tables()
    refused("AccessDenied", client("sts", out["Credentials"]).get_federation_token, Name="another")

    same(sts.get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"], ACCOUNT)


def links(sts):
    """A presigned GetCallerIdentity is how others learn who somebody is."""
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(url) as r:
        assert b":user/alice</Arn>" in r.read()
    try:
        urllib.request.urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
    except urllib.error.HTTPError as e:
        assert e.code == 403 and b"<Code>SignatureDoesNotMatch</Code>" in e.read()
    else:
        raise AssertionError("the link was made longer")


def profiles(key, role):
    """A profile with role_arn assumes the role by itself. Old versions take no endpoint from the environment."""
    if tuple(int(n) for n in boto3.__version__.split(".")[:2]) < (1, 28):
        return
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as config:
        config.write(f"[profile base]\naws_access_key_id = {key['AccessKeyId']}\naws_secret_access_key = {key['SecretAccessKey']}\n"
                     f"[profile worker]\nrole_arn = {role}\nsource_profile = base\nrole_session_name = by-profile\nduration_seconds = 900\n")
        config.flush()
        os.environ.update(AWS_CONFIG_FILE=config.name, AWS_ENDPOINT_URL=ENDPOINT)
        same(boto3.Session(profile_name="worker").client("sts").get_caller_identity()["Arn"],
             f"arn:aws:sts::{ACCOUNT}:assumed-role/first/by-profile")


def main():
    same(who(), ROOT)
    iam = client("iam")
    iam.create_user(UserName="alice")
    iam.put_user_policy(UserName="alice", PolicyName="inline", PolicyDocument=allow(["sts:*", "dynamodb:*"]))
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    same(who(key), f"arn:aws:iam::{ACCOUNT}:user/alice")
    role = roles(iam, key)
    users(client("sts", key), key)
    links(client("sts", key))
    profiles(key, role)
    print("boto3", boto3.__version__, "is content")


main()
