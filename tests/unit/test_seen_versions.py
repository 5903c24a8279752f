"""What a call can have seen: the versions of If-Match, and when the gateway took it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared import http
from shared.domain.errors import InvalidRequest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def router(**event: Any) -> Any:
    """A router with one event."""
    headers = event.pop("headers", {})
    return SimpleNamespace(current_event=SimpleNamespace(headers=headers, raw_event={"requestContext": event}))


@pytest.mark.parametrize(
    ("given", "versions"),
    [(None, None), ("*", None), ('"3"', {3}), ("3", {3}), (' "3" , "12" ', {3, 12}), ("3,4", {3, 4})],
)
def test_versions_are_read_as_tags_or_bare(given: str | None, versions: set[int] | None) -> None:
    headers = {} if given is None else {"if-match": given}

    assert http.versions_seen(router(headers=headers)) == versions


@pytest.mark.parametrize("given", ['W/"3"', "x", '"', "3;4", "-1", '"3" "4"', "٣", "1" * 19])
def test_what_is_no_version_is_refused_naming_the_header(given: str) -> None:
    with pytest.raises(InvalidRequest, match="If-Match"):
        http.versions_seen(router(headers={"If-Match": given}))


@pytest.mark.parametrize(
    ("milliseconds_ago", "seconds_ago"),
    [(0, 0), (1500, 1.5), (29_000, 29), (29_001, 0), (600_000, 0), (-1, 0), (-600_000, 0)],
)
def test_a_call_came_when_the_gateway_took_it_unless_the_clocks_are_far_apart(
    milliseconds_ago: int, seconds_ago: float
) -> None:
    taken = int(NOW.timestamp() * 1000) - milliseconds_ago

    assert http.arrived_at(router(requestTimeEpoch=taken), NOW) == NOW - timedelta(seconds=seconds_ago)


def test_without_its_time_a_call_came_now() -> None:
    assert http.arrived_at(router(), NOW) == NOW
