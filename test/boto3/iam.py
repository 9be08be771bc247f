"""IAM with boto3, of any version from 1.26 on: each family of operations, by client and by resource. The server's address
comes in BRUME_ENDPOINT; keys and region come in the usual variables. Exits with 0 if every step was right."""
import csv
import hashlib
import hmac
import base64
import json
import os
import struct
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["BRUME_ENDPOINT"]
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}]}


def client(service, key=None, secret=None, token=None):
    return boto3.client(service, endpoint_url=ENDPOINT, aws_access_key_id=key, aws_secret_access_key=secret,
                        aws_session_token=token, config=Config(retries={"max_attempts": 1}))


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was allowed")


def same(got, want):
    assert got == want, f"got {got}, want {want}"


def code(seed, step):
    digest = hmac.new(base64.b32decode(seed), struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    return "%06d" % ((struct.unpack(">I", digest[at:at + 4])[0] & 0x7FFFFFFF) % 1000000)


def identities(iam):
    for name in ("alice", "bob", "carol"):
        user = iam.create_user(UserName=name, Path="/dev/", Tags=[{"Key": "team", "Value": "blue"}])["User"]
        assert user["Arn"].endswith(":user/dev/" + name) and user["UserId"].startswith("AIDA"), user
    iam.get_waiter("user_exists").wait(UserName="alice")
    pages = iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1})
    same([u["UserName"] for page in pages for u in page["Users"]], ["alice", "bob", "carol"])
    same(refused("EntityAlreadyExists", iam.create_user, UserName="ALICE"), "User with name ALICE already exists.")
    same(refused("NoSuchEntity", iam.get_user, UserName="nobody"), "The user with name nobody cannot be found.")

    policy = iam.create_policy(PolicyName="reader", PolicyDocument=json.dumps(READ))["Policy"]["Arn"]
    # boto3 decodes documents by itself.
    same(iam.get_policy_version(PolicyArn=policy, VersionId="v1")["PolicyVersion"]["Document"], READ)
    for _ in range(4):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=json.dumps(READ), SetAsDefault=True)
    refused("LimitExceeded", iam.create_policy_version, PolicyArn=policy, PolicyDocument=json.dumps(READ))
    message = refused("MalformedPolicyDocument", iam.create_policy, PolicyName="old",
                      PolicyDocument=json.dumps({**READ, "Version": "2008-10-17"}))
    same(message, "Policy document must be version 2012-10-17 or greater.")

    iam.create_group(GroupName="readers")
    iam.add_user_to_group(GroupName="readers", UserName="alice")
    iam.attach_group_policy(GroupName="readers", PolicyArn=policy)
    iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=policy)
    entities = iam.list_entities_for_policy(PolicyArn=policy)
    same([g["GroupName"] for g in entities["PolicyGroups"]] + [u["UserName"] for u in entities["PolicyUsers"]],
         ["readers", "bob"])
    same(refused("DeleteConflict", iam.delete_policy, PolicyArn=policy), "Cannot delete a policy attached to entities.")
    refused("DeleteConflict", iam.delete_user, UserName="alice")

    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    same(role["AssumeRolePolicyDocument"], TRUST)
    iam.put_role_policy(RoleName="worker", PolicyName="own", PolicyDocument=json.dumps(READ))
    same(iam.get_role_policy(RoleName="worker", PolicyName="own")["PolicyDocument"], READ)
    iam.create_instance_profile(InstanceProfileName="web")
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="worker")
    same(iam.list_instance_profiles_for_role(RoleName="worker")["InstanceProfiles"][0]["Roles"][0]["RoleName"], "worker")

    details = iam.get_account_authorization_details(Filter=["User", "Role", "LocalManagedPolicy"])
    same([u["UserName"] for u in details["UserDetailList"]], ["alice", "bob", "carol"])
    same(details["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"], READ)
    same(len(details["Policies"][0]["PolicyVersionList"]), 5)
    same(details["GroupDetailList"], [])

    # The same through resources.
    resource = boto3.resource("iam", endpoint_url=ENDPOINT)
    same([g.name for g in resource.User("alice").groups.all()], ["readers"])
    same([u.name for u in resource.Group("readers").users.all()], ["alice"])
    same(resource.Role("worker").Policy("own").policy_document, READ)
    same(resource.Policy(policy).attachment_count, 1)
    same(resource.AccountSummary().summary_map["Users"], 3)


def credentials(iam):
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    iam.create_access_key(UserName="alice")
    same(refused("LimitExceeded", iam.create_access_key, UserName="alice"), "Cannot exceed quota for AccessKeysPerUser: 2")
    alice = client("sts", key["AccessKeyId"], key["SecretAccessKey"])
    assert alice.get_caller_identity()["Arn"].endswith(":user/dev/alice")
    iam.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused("InvalidClientTokenId", alice.get_caller_identity)
    iam.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Active")
    used = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    same((used["UserName"], used["AccessKeyLastUsed"]["ServiceName"]), ("alice", "sts"))

    iam.update_account_password_policy(MinimumPasswordLength=12, RequireNumbers=True, AllowUsersToChangePassword=True)
    same(iam.get_account_password_policy()["PasswordPolicy"]["MinimumPasswordLength"], 12)
    refused("PasswordPolicyViolation", iam.create_login_profile, UserName="alice", Password="short1")
    iam.create_login_profile(UserName="alice", Password="long enough 1", PasswordResetRequired=True)
    mine = client("iam", key["AccessKeyId"], key["SecretAccessKey"])
    mine.change_password(OldPassword="long enough 1", NewPassword="another one 22")
    same(iam.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"], False)

    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    seed, serial, step = device["Base32StringSeed"], device["SerialNumber"], int(time.time()) // 30
    assert device["QRCodePNG"].startswith(b"\x89PNG")
    iam.enable_mfa_device(UserName="alice", SerialNumber=serial,
                          AuthenticationCode1=code(seed, step - 2), AuthenticationCode2=code(seed, step - 1))
    session = alice.get_session_token(SerialNumber=serial, TokenCode=code(seed, step))["Credentials"]
    refused("AccessDenied", alice.get_session_token, SerialNumber=serial, TokenCode=code(seed, step))
    iam.put_user_policy(UserName="alice", PolicyName="mfa", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*",
                                               "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}}))
    refused("AccessDenied", mine.list_users)
    client("iam", session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]).list_users()

    credential = iam.create_service_specific_credential(UserName="alice", ServiceName="codecommit.amazonaws.com")
    assert credential["ServiceSpecificCredential"]["ServiceUserName"].startswith("alice-at-")


def account(iam):
    iam.create_account_alias(AccountAlias="brume-test")
    same(iam.list_account_aliases()["AccountAliases"], ["brume-test"])
    refused("ReportNotPresent", iam.get_credential_report)
    while iam.generate_credential_report()["State"] != "COMPLETE":
        time.sleep(0.1)
    report = iam.get_credential_report()["Content"].decode()
    lines = {line["user"]: line for line in csv.DictReader(report.splitlines())}
    same(set(lines), {"<root_account>", "alice", "bob", "carol"})
    same((lines["alice"]["password_enabled"], lines["alice"]["mfa_active"], lines["alice"]["access_key_2_active"]),
         ("true", "true", "true"))
    same((lines["bob"]["password_enabled"], lines["bob"]["password_last_used"]), ("false", "N/A"))

    role = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="a")["Role"]
    same(role["Path"], "/aws-service-role/autoscaling.amazonaws.com/")
    refused("UnmodifiableEntity", iam.attach_role_policy, RoleName=role["RoleName"],
            PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    task = iam.delete_service_linked_role(RoleName=role["RoleName"])["DeletionTaskId"]
    same(iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"], "SUCCEEDED")

    provider = iam.create_open_id_connect_provider(Url="https://idp.example.com", ClientIDList=["a"],
                                                   ThumbprintList=["ab" * 20])["OpenIDConnectProviderArn"]
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=provider, ClientID="b")
    same(iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)["ClientIDList"], ["a", "b"])
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    refused("InvalidInput", iam.create_saml_provider, Name="idp", SAMLMetadataDocument="x" * 1000)


def simulation(iam):
    arn = iam.get_user(UserName="alice")["User"]["Arn"]
    results = iam.simulate_principal_policy(PolicySourceArn=arn, ActionNames=["s3:GetObject", "s3:PutObject"],
                                            ResourceArns=["arn:aws:s3:::b/k"])["EvaluationResults"]
    same([r["EvalDecision"] for r in results], ["allowed", "implicitDeny"])
    same(results[0]["MatchedStatements"][0]["SourcePolicyId"], "reader")
    same(results[0]["ResourceSpecificResults"][0]["MissingContextValues"], ["aws:MultiFactorAuthPresent"])
    same(iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"], ["aws:MultiFactorAuthPresent"])
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[json.dumps(READ)], ActionNames=["s3:GetObject", "s3:GetBucketAcl", "s3:PutObject"],
        PaginationConfig={"PageSize": 1})
    same([r["EvalDecision"] for page in pages for r in page["EvaluationResults"]], ["allowed", "allowed", "implicitDeny"])

    job = iam.generate_service_last_accessed_details(Arn=arn, Granularity="ACTION_LEVEL")["JobId"]
    report = iam.get_service_last_accessed_details(JobId=job)
    services = {s["ServiceNamespace"]: s for s in report["ServicesLastAccessed"]}
    same((report["JobStatus"], sorted(services)), ("COMPLETED", ["iam", "s3"]))
    same([a["ActionName"] for a in services["iam"]["TrackedActionsLastAccessed"]], ["ChangePassword", "ListUsers"])
    assert "LastAuthenticated" not in services["s3"]


def main():
    iam = client("iam")
    identities(iam)
    credentials(iam)
    account(iam)
    simulation(iam)


main()
