"""The CDK app as it is deployed, with cdk-nag's packs: `python -m tests.infra.nagged_app STAGE [--bare]`.

`--bare` accepts no finding, and writes what would have been accepted to `accepted.json` beside the report.
CDK_OUTDIR, CDK_CONTEXT_JSON and the stage's own settings come from the environment, as for app.py.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

import app
import infra.application
import infra.suppressions


@dataclass(frozen=True)
class Recorder:
    """Stands where the acceptances are made, and only notes them."""

    construct: Any
    accepted: ClassVar[list[dict[str, str]]] = []

    @classmethod
    def of(cls, construct: Any) -> Recorder:
        return cls(construct)

    def acknowledge(self, *rules: Any) -> None:
        path = self.construct.node.path
        self.accepted.extend({"path": path, "rule": rule.id, "reason": rule.reason} for rule in rules)


def main(stage: str, *, bare: bool) -> None:
    build = infra.application.build_stage

    def build_with_packs(made: App, chosen: Any) -> Any:
        service = build(made, chosen)
        Validations.of(made).add_plugins(AwsSolutionsChecks(made), ServerlessChecks(made))
        return service

    infra.application.build_stage = build_with_packs
    if bare:
        infra.suppressions.Validations = Recorder  # type: ignore[misc,assignment]
    sys.argv = ["app.py", f"stage={stage}"]
    try:
        app.main()
    except RuntimeError as error:
        # Findings are for tests to tell; the templates and the report are written all the same.
        if "ValidationFailed" not in str(error):
            raise
    if bare:
        Path(os.environ["CDK_OUTDIR"], "accepted.json").write_text(json.dumps(Recorder.accepted))


if __name__ == "__main__":
    main(sys.argv[1], bare="--bare" in sys.argv[2:])
