"""Texts of a JSON object that is not built."""

from __future__ import annotations

import pytest

from shared.domain.json_members import top_level_texts


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "a"}',
        ' {"n": -1.5e3, "id": "a", "t": [true, "}", {"id": "b"}], "x": null}\n',
        '{"id": "b", "id": "a"}',
        '{"\\u0069d": "\\u0061", "s": "\\"]\\\\"}',
    ],
)
def test_the_named_texts_of_an_object_are_read(text: str) -> None:
    assert top_level_texts(text, {"id"}) == {"id": "a"}


WRONG = ["", "[]", '"id"', "{", '{"id"}', '{"id":}', '{"id": a}', '{"a": [}', '{"a": 1,}', "{} {}", "{1: 2}"]
WRONG += ["\ufeff{}", '{"a": []]}', '{"a": ' + "[" * 1001 + "]" * 1001 + "}"]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_object_is_refused_where_only_its_texts_are_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        top_level_texts(text, {"id"})


def test_a_text_that_was_given_again_as_something_else_is_none() -> None:
    assert top_level_texts('{"id": "a", "id": 5}', {"id"}) == {}
