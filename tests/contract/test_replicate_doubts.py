"""A create without an answer is found again in the provider's list, or left open."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.errors import AnswerLost, ProviderBusy
from tests.contract.replicate_calls import HOOK, MADE, NOW, REQUEST, provider
from tests.scripted_server import always, in_turn, json_reply, scripted


def page(*entries: Any, cursor: str | None = None) -> bytes:
    following = f"https://evil.example/v1/predictions?cursor={cursor}" if cursor else None
    return json_reply(200, {"previous": None, "next": following, "results": list(entries)})


def entry(seconds: float = 0, **fields: Any) -> dict[str, Any]:
    made = (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return {**MADE, "created_at": made, **fields}


def found(*pages: bytes) -> str | None:
    with scripted(in_turn(*pages)) as server:
        prediction = provider(server.origin).find(REQUEST, HOOK, NOW)
    assert len(server.asked) == len(pages)
    return prediction.id if prediction else None


def test_an_unanswered_create_is_found_by_its_webhook() -> None:
    others = [entry(id="b", webhook=HOOK + "4"), entry(id="c"), 7, {"id": 1}]

    assert found(page(*others, cursor="x%3D"), page(entry(id="a", webhook=HOOK, input={}), entry(-999))) == "a"


def test_pages_are_followed_by_their_cursor_at_our_own_address() -> None:
    with scripted(in_turn(page(entry(id="a"), cursor="x%3D"), page())) as server:
        provider(server.origin).find(REQUEST, HOOK, NOW)

    assert [asked.path for asked in server.asked] == ["/v1/predictions", "/v1/predictions?cursor=x%3D"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(id="a")], "a"),
        ([entry(id="b", input={"prompt": "a dog"}), entry(id="a", webhook=None)], "a"),
        ([entry(id="b", webhook="https://other.example")], None),
        ([entry(id="b", model="owner/other")], None),
        ([entry(181, id="b")], None),
        ([entry(-61, id="b")], None),
        ([entry(-59, id="a"), entry(-61, id="b"), entry(id="c")], "a"),
        ([entry(id="b", created_at=None)], None),
        ([], None),
    ],
)
def test_without_a_webhook_only_a_single_likeness_counts(entries: list[Any], expected: str | None) -> None:
    assert found(page(*entries)) == expected


def test_two_likenesses_leave_it_open() -> None:
    with pytest.raises(AnswerLost, match="2 predictions"):
        found(page(entry(id="a"), entry(id="b")))


def test_a_picture_signed_anew_is_the_same_picture() -> None:
    request = {**REQUEST, "input": {"image": "https://bucket.example/a.png?X-Amz-Signature=1"}}
    shown = entry(id="a", input={"image": "https://bucket.example/a.png?X-Amz-Signature=2"})
    with scripted(in_turn(page(shown))) as server:
        prediction = provider(server.origin).find(request, HOOK, NOW)

    assert prediction is not None


def test_a_list_without_an_end_leaves_it_open() -> None:
    with scripted(always(page(entry(id="b", input={}), cursor="same"))) as server, pytest.raises(ProviderBusy):
        provider(server.origin).find(REQUEST, HOOK, NOW)
