"""An erasure whose function is killed in the middle is gone on with by the minute sweep."""

from __future__ import annotations

import threading
from typing import Any
from uuid import uuid4

import pytest

from shared.domain.erasure import STORES
from tests.faults.observing import Observed, stopped, wait_for


@pytest.mark.usefixtures("unscheduled")
@pytest.mark.parametrize("store", ["s3", "ministack"])
def test_a_killed_erasure_is_finished_by_the_sweep(observed: Observed, store: str) -> None:
    user = f"user-{uuid4().hex}"
    jobs = [observed.generate(f"to be erased {n}", userId=user) for n in range(3)]
    assert observed.end(*jobs) == ["completed"] * 3
    admin = Observed({**observed.stack, "apiKey": observed.stack["adminApiKey"]})
    # An environment and the key's rights are at hand: neither can be had while the store stands still.
    assert admin.call("GET", f"/api/erasures/{uuid4()}")["httpStatus"] == 404
    answers: list[Any] = []
    asked = threading.Thread(target=lambda: answers.append(admin.call("DELETE", f"/api/users/{user}")))

    with stopped(observed.part(store)):
        asked.start()
        # Its rows are marked, and it waits for the store.
        wait_for("the first step", lambda: all(observed.job(job)["erased_at"] for job in jobs))
        observed.kill("retention")
    asked.join()
    assert answers[0]["httpStatus"] >= 500
    (begun,) = observed.rows("SELECT id FROM vsl.erasures WHERE user_id = %(user)s", user=user)
    observed.rows("UPDATE vsl.erasures SET due_at = now(), settled_at = now() WHERE id = %(id)s", id=begun["id"])
    retain(observed)

    receipt = admin.call("GET", f"/api/erasures/{begun['id']}")
    assert (receipt["status"], receipt["left"]) == ("completed", dict.fromkeys(STORES, 0))
    assert receipt["erased"]["jobs"] == 3
    assert everywhere(observed, user) == []
    for job in jobs:
        assert observed.call("GET", f"/status/{job}")["httpStatus"] == 410
        assert [key for key in objects(observed) if job in key] == []


def retain(observed: Observed) -> None:
    """What the minute schedule does, now."""
    found = observed.invoke("retention")
    assert "erasures" in found, found


def objects(observed: Observed) -> list[str]:
    pages = observed.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=observed.stack["bucket"])
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def everywhere(observed: Observed, words: str) -> list[str]:
    """Tables with the words in any row, and objects with them in their key."""
    tables = observed.rows("SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname LIKE 'vsl%%'")
    told = [
        table["name"]
        for table in tables
        if observed.rows(f"SELECT 1 FROM {table['name']} t WHERE t::text LIKE %(words)s LIMIT 1", words=f"%{words}%")
    ]
    return told + [key for key in objects(observed) if words in key]
