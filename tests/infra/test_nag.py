"""cdk-nag's packs AwsSolutions and Serverless, and cfn-lint, on all stages; and that what we accept is still found.

A suite and `make check` synthesize each stage for one region; `make templates`, each for all of them.
"""

from __future__ import annotations

import os
from itertools import product

import pytest

from tests.infra.checked import ANY_REGION, REGIONS, STAGES, Checked

EVERYWHERE = "VSL_ALL_REGIONS"
_SLICE = list(zip(STAGES, (ANY_REGION, *REGIONS), strict=True))
PLACES = list(product(STAGES, REGIONS)) if os.environ.get(EVERYWHERE) else _SLICE
SHORTEST_REASON = 30


@pytest.fixture(scope="session", params=PLACES, ids=["-".join(filter(None, place)) for place in PLACES])
def checked(request: pytest.FixtureRequest) -> Checked:
    return Checked(*request.param)


def test_the_packs_find_nothing_that_is_not_accepted(checked: Checked) -> None:
    found = [f"{finding['rule']} at {finding['path']}" for finding in checked.nag_findings()]

    assert not found, "\n".join(["", *found])


def test_cfn_lint_finds_nothing(checked: Checked) -> None:
    found = checked.lint_findings()

    assert not found, "\n".join(["", *found])


@pytest.fixture(scope="session", params=["dev", "prod"])
def bare(request: pytest.FixtureRequest) -> Checked:
    """Nothing is accepted here: dev and prod are the two ends of what stages switch on."""
    return Checked(request.param, is_bare=True)


def test_every_finding_that_is_accepted_would_come_back(bare: Checked) -> None:
    found = bare.nag_findings()

    idle = [
        f"{one['rule']} at {one['path']}"
        for one in bare.accepted()
        if not any(finding["rule"] == one["rule"] and _is_within(finding["path"], one["path"]) for finding in found)
    ]

    assert bare.accepted(), "no acceptance was noted"
    assert not idle, "\n".join(["no pack finds it any more:", *idle])


def test_every_acceptance_says_why(bare: Checked) -> None:
    bare_reasons = [one for one in bare.accepted() if len(one["reason"]) < SHORTEST_REASON or one["reason"][-1] != "."]

    assert not bare_reasons


def _is_within(path: str, construct: str) -> bool:
    return path == construct or path.startswith(f"{construct}/")
