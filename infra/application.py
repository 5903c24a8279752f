"""The stacks of one stage, in the order they depend on each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from aws_cdk import Annotations, App, CliCredentialsStackSynthesizer, Environment, Tags

from infra.constructs.bundle import bundles
from infra.stacks.data import DataStack
from infra.stacks.media import MediaStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.service import ServiceStack
from infra.stages import Stage
from infra.suppressions import acknowledge_findings
from layers.build import NOT_COMPILED, compiler


def build_stage(app: App, stage: Stage) -> ServiceStack:
    """Adds a stage's stacks to the app; the service stack, for tests."""
    options = _options(stage)
    prefix = f"vsl-{stage.name}"
    network = NetworkStack(app, f"{prefix}-network", stage, **options())
    data = DataStack(app, f"{prefix}-data", stage, network, **options())
    media = MediaStack(app, f"{prefix}-media", stage, **options())
    service = ServiceStack(app, f"{prefix}-service", stage, network, data, media, **options())
    # Parameters that the one writes and the other reads are no reference that the CDK sees.
    service.add_stack_dependency(data)
    if not stage.is_local:
        acknowledge_findings(data, media, service)
        ObservabilityStack(app, f"{prefix}-observability", stage, **options())
        _mark(app, stage)
        _remark(service, stage)
    return service


def _options(stage: Stage) -> Callable[[], dict[str, Any]]:
    """The options of every stack of the stage: a synthesizer is good for one stack."""
    if stage.is_local:
        return lambda: {"synthesizer": CliCredentialsStackSynthesizer()}
    place = Environment(account=stage.account or None, region=stage.region or None)
    return lambda: {"env": place, "termination_protection": stage.is_protected}


def _mark(app: App, stage: Stage) -> None:
    for name, value in stage.tags.items():
        Tags.of(app).add(name, value)


def _remark(service: ServiceStack, stage: Stage) -> None:
    """Errors, for which the CDK's command line refuses a deployment before it begins; a bare synthesis goes on."""
    remarks = Annotations.of(service)
    # Where the CDK's command line is about to deploy to.
    for obstacle in stage.obstacles(os.environ.get("CDK_DEFAULT_REGION", "")):
        remarks.add_error(obstacle)
    if not bundles(service):
        remarks.add_error("The layers are placeholders: deploy without `-c bundle=false`.")
    elif compiler() is None:
        remarks.add_warning_v2("vsl:not-compiled", NOT_COMPILED)
