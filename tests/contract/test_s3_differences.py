"""The list of known differences speaks of tests that exist."""

from __future__ import annotations

from tests.contract.s3 import test_browsers, test_copies_and_lists, test_objects, test_signed_requests, test_uploads
from tests.contract.s3.differences import DIFFERENCES

SUITE = (test_browsers, test_copies_and_lists, test_objects, test_signed_requests, test_uploads)


def test_every_difference_is_tested() -> None:
    named = {name.partition("[")[0] for known in DIFFERENCES.values() for name in known}
    assert [name for name in sorted(named) if not any(hasattr(module, name) for module in SUITE)] == []
