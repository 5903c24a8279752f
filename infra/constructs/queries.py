"""Saved queries of Logs Insights. tests/e2e/test_logs.py holds their fields against what a running stack prints."""

from __future__ import annotations

from aws_cdk import aws_logs
from constructs import Construct

from infra.stages import Stage

# By name. `JOB` and `REQUEST` are put in by who runs the query.
OF_FUNCTIONS = {
    "errors": """\
fields @timestamp, function_name, coalesce(message, @message) as said, jobId, reason, exception_name
| filter level in ["ERROR", "CRITICAL"] or @message like "Task timed out" or @message like "Runtime exited"
| sort @timestamp desc
| limit 200""",
    "warnings-by-kind": """\
filter level in ["WARNING", "ERROR", "CRITICAL"]
| stats count(*) as lines, latest(@timestamp) as last by function_name, message, reason
| sort lines desc""",
    "one-job": """\
fields @timestamp, function_name, message, action, status, reason, code, function_request_id
| filter jobId = "JOB"
| sort @timestamp asc
| limit 500""",
    "one-request": """\
fields @timestamp, function_name, level, message, status, code, exception
| filter correlation_id = "REQUEST" or function_request_id = "REQUEST"
| sort @timestamp asc
| limit 500""",
    "failures-by-model": """\
filter message = "job_ended" and status in ["failed", "timeout"]
| stats count(*) as jobs by kind, modelId, code
| sort jobs desc""",
    "times-by-model": """\
filter message = "job_ended" and status = "completed"
| stats count(*) as jobs, pct(duration, 50) as p50, pct(duration, 95) as p95, max(duration) as longest by kind, modelId
| sort p95 desc""",
    "cost-by-account-and-model": """\
filter message = "cost_booked"
| stats sum(costUsd) as usd, count(*) as calls by accountId, modelId, provider
| sort usd desc""",
    "refusals": """\
filter message = "refused"
| stats count(*) as calls by function_name, status, code
| sort calls desc""",
    "nearly-used-budgets": """\
filter message = "budget_nearly_used"
| stats latest(usedPercent) as used by accountId, period
| sort used desc""",
}
OF_ACCESS = {
    "calls-that-failed": """\
fields @timestamp, requestId, account, method, route, status, error, integrationStatus, latencyMs
| filter status >= 500
| sort @timestamp desc
| limit 200""",
    "calls-by-route": """\
stats count(*) as calls, pct(latencyMs, 50) as p50, pct(latencyMs, 95) as p95 by method, route
| sort calls desc""",
    "refused-keys-by-address": """\
filter status in [401, 403]
| stats count(*) as calls by ip, route, error
| sort calls desc
| limit 50""",
}


def access_log_name(stage: Stage) -> str:
    """The log group of the API's calls."""
    return f"/vsl/{stage.name}/api-access"


def save_queries(scope: Construct, stage: Stage, functions: tuple[str, ...]) -> None:
    """Adds them to the folder of the stage, on the log groups of its functions (by folder) or of its API's calls."""
    groups = [f"/aws/lambda/vsl-{stage.name}-{name.replace('_', '-')}" for name in functions]
    for queries, names in ((OF_FUNCTIONS, groups), (OF_ACCESS, [access_log_name(stage)])):
        for name, text in queries.items():
            aws_logs.CfnQueryDefinition(
                scope, f"query-{name}", name=f"vsl-{stage.name}/{name}", query_string=text, log_group_names=names
            )
