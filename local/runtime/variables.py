"""The environment variables of an execution environment: nothing of the machine's own leaks in.

Lambda's list: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
"""

import os
from pathlib import Path

from local.runtime.config import RuntimeConfig
from local.runtime.functions import FunctionConfig, RoleCredentials

_INSIDE_SERVICES = ("S3", "DYNAMODB", "SQS")
_OUTSIDE_SERVICES = (*_INSIDE_SERVICES, "LAMBDA", "SSM", "SECRETS_MANAGER")


def environment_variables(
    function: FunctionConfig,
    credentials: RoleCredentials,
    config: RuntimeConfig,
    *,
    runtime_api: str,
    scratch: Path,
) -> dict[str, str]:
    """`runtime_api` is host:port, `scratch` the environment's private temporary folder."""
    return {
        **function.variables,
        **_lambda_variables(function, config),
        **_service_endpoints(function, config),
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{config.opt_bin_dir}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(map(str, (config.project_root, *config.python_path))),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }


def _lambda_variables(function: FunctionConfig, config: RuntimeConfig) -> dict[str, str]:
    return {
        "_HANDLER": function.handler,
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "LAMBDA_TASK_ROOT": str(config.project_root),
        "LAMBDA_RUNTIME_DIR": str(config.project_root),
    }


def _service_endpoints(function: FunctionConfig, config: RuntimeConfig) -> dict[str, str]:
    """Inside functions know no address but those their network has an endpoint for."""
    services = _INSIDE_SERVICES if function.inside else _OUTSIDE_SERVICES
    return {
        f"AWS_ENDPOINT_URL_{service}": config.service_endpoints.get(service, config.ministack_url)
        for service in services
    }
