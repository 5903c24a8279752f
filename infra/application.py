"""The stacks of one stage, in the order they depend on each other."""

from __future__ import annotations

from typing import Any

from aws_cdk import App, CliCredentialsStackSynthesizer

from infra.stacks.data import DataStack
from infra.stacks.media import MediaStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.service import ServiceStack
from infra.stages import Stage
from infra.suppressions import acknowledge_findings


def build_stage(app: App, stage: Stage) -> ServiceStack:
    """Adds a stage's stacks to the app; the service stack, for tests."""

    def options() -> dict[str, Any]:
        return {"synthesizer": CliCredentialsStackSynthesizer()} if stage.is_local else {}

    prefix = f"vsl-{stage.name}"
    network = NetworkStack(app, f"{prefix}-network", stage, **options())
    data = DataStack(app, f"{prefix}-data", stage, network, **options())
    media = MediaStack(app, f"{prefix}-media", stage, **options())
    service = ServiceStack(app, f"{prefix}-service", stage, network, data, media, **options())
    if not stage.is_local:
        acknowledge_findings(network, data, media, service)
        ObservabilityStack(app, f"{prefix}-observability", stage, **options())
    return service
