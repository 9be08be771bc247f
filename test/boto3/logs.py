"""CloudWatch Logs with boto3: patterns, pages, metric filters, Live Tail and Logs Insights. The server's address comes in
BRUME_ENDPOINT; keys and region come in the usual variables. Exits with 0 if every step was right."""
import os
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# The host prefix of Live Tail cannot stand before an address of digits.
logs = boto3.client("logs", endpoint_url=os.environ["BRUME_ENDPOINT"],
                    config=Config(retries={"max_attempts": 1}, inject_host_prefix=False))


def same(got, want):
    assert got == want, f"got {got}, want {want}"


def refused(code, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response
    raise AssertionError(f"{call} was allowed")


def put(*messages):
    now = int(time.time() * 1000) - 1000
    logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=[
        {"timestamp": now + i, "message": m} for i, m in enumerate(messages)])


def patterns():
    put('{"ms": 5, "path": "/a"}', '{"ms": 50, "path": "/b"}', "ERROR 404 not found", '{"ms": 500}')
    pages = logs.get_paginator("filter_log_events")
    for pattern, want in {"": 4, "{ $.ms >= 50 }": 2, "[w = ERROR, code = 4*, ...]": 1, "?ERROR ?path": 3, "%/[ab]%": 2}.items():
        found = [e for page in pages.paginate(logGroupName="app", filterPattern=pattern, PaginationConfig={"PageSize": 1})
                 for e in page["events"]]
        same((pattern, len(found)), (pattern, want))
    error = refused("InvalidParameterException", logs.filter_log_events, logGroupName="app", filterPattern="a:b")
    same(error["Error"]["Message"], "Invalid character(s) in term ':'")


def filters():
    logs.put_metric_filter(logGroupName="app", filterName="f", filterPattern="ERROR", metricTransformations=[
        {"metricName": "Errors", "metricNamespace": "App", "metricValue": "1", "defaultValue": 0}])
    described = logs.describe_metric_filters(metricName="Errors", metricNamespace="App")["metricFilters"]
    same([(f["filterName"], f["metricTransformations"][0]["defaultValue"]) for f in described], [("f", 0.0)])
    logs.delete_metric_filter(logGroupName="app", filterName="f")
    refused("ResourceNotFoundException", logs.delete_metric_filter, logGroupName="app", filterName="f")


def queries():
    def run(text):
        started = logs.start_query(logGroupNames=["app"], queryString=text, startTime=int(time.time()) - 3600, endTime=int(time.time()))
        for _ in range(1000):
            out = logs.get_query_results(queryId=started["queryId"])
            if out["status"] == "Complete":
                return [{f["field"]: f["value"] for f in row if f["field"] != "@ptr"} for row in out["results"]]
            time.sleep(0.02)
        raise AssertionError(out)

    same(run("filter ispresent(ms) | stats count(*) as n, sum(ms) as total, pct(ms, 50) as mid"), [{"n": "3", "total": "555", "mid": "50"}])
    same(run("fields path, ms | filter path like /[ab]/ | sort ms desc | limit 1"), [{"path": "/b", "ms": "50"}])
    same(run('parse "ERROR * not" as code | filter code > 0 | display code'), [{"code": "404"}])
    error = refused("MalformedQueryException", logs.start_query, logGroupName="app", queryString="fields a |", startTime=0, endTime=1)
    same(error["queryCompileError"]["location"]["startCharOffset"], 10)


def tail():
    if not hasattr(logs, "start_live_tail"):
        return
    arn = logs.describe_log_groups(logGroupNamePrefix="app")["logGroups"][0]["arn"].removesuffix(":*")
    stream = logs.start_live_tail(logGroupIdentifiers=[arn], logEventFilterPattern="LIVE")["responseStream"]
    for event in stream:
        if "sessionStart" in event:
            put("LIVE one", "other")
        elif event["sessionUpdate"]["sessionResults"]:
            same([r["message"] for r in event["sessionUpdate"]["sessionResults"]], ["LIVE one"])
            break
    stream.close()


logs.create_log_group(logGroupName="app")
logs.create_log_stream(logGroupName="app", logStreamName="s")
for step in (patterns, filters, queries, tail):
    step()
