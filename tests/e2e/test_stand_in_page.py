"""docs/stand-in.md names every switch of the stand-in, and each of its examples ends as it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.provider import control
from local.provider.steering import CHOICES, NAMES, directives
from tests.e2e.client import Api
from tests.e2e.pasting import ROOT, assert_prints_what_is_shown

PAGE = "docs/stand-in.md"
TEXT = (ROOT / PAGE).read_text()
MODEL = "bytedance/seedance-1-lite"
# What becomes of the rest is said in other words: their jobs try until a limit or a deadline.
WITHOUT_AN_END = {"[output=cut]", "[output=huge]"}


@dataclass(frozen=True)
class Example:
    """A row of the page's table; `code` is the error's where the job fails."""

    prompt: str
    status: str
    code: str


def examples() -> list[Example]:
    rows = re.findall(r"^\| `(\[.*?\])` \| .* \| (?:`(\w+)`)?(?:, `(\w+)`)?[^|]*\|$", TEXT, re.MULTILINE)
    return [Example(*row) for row in rows]


def test_every_switch_and_each_of_its_choices_has_an_example() -> None:
    prompts = " ".join(example.prompt for example in examples())
    given = [(name, value) for name, _, value in re.findall(r"\[(\w+)(=([^\]]*))?\]", prompts)]

    assert {name for name, _ in given} == set(NAMES)
    choices = {(name, value) for name, values in CHOICES.items() for value in values}
    assert choices - set(given) == {("shown", "yes")}
    assert {name for name, value in given if value} >= set(NAMES) - {"abort"}


def test_every_call_of_its_own_address_is_named() -> None:
    routes = {f"{route.method} {route.path}" for route in control.routes if hasattr(route, "path")}

    assert len(routes) >= 5
    assert [route for route in routes if f"`{route}`" not in TEXT] == []


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.prompt)
def test_an_example_is_read_as_a_directive(example: Example) -> None:
    found = directives(f"a boat {example.prompt}", "another/model" if "another/model" in example.prompt else MODEL)

    assert len(found) == len(re.findall(r"\[(?!on=)", example.prompt))


def test_each_example_ends_as_the_page_says(api: Api, words: str) -> None:
    ending = [example for example in examples() if example.status]
    assert {example.prompt for example in examples()} - {example.prompt for example in ending} == WITHOUT_AN_END

    jobs = [api.generate(f"{words} {small(example.prompt)}") for example in ending]

    ends = [api.ended(job) for job in jobs]
    became = [(job["status"], (job.get("error") or {}).get("code", "")) for job in ends]
    assert dict(zip([example.prompt for example in ending], became, strict=True)) == {
        example.prompt: (example.status, example.code) for example in ending
    }


def small(prompt: str) -> str:
    """The prompt, for a clip that is quick to draw where the example does not say otherwise."""
    size = "" if "[size" in prompt or "[on=" in prompt else "[size=320x180]"
    return prompt + size


def test_its_commands_print_what_is_shown(stack: dict[str, Any], tmp_path: Path) -> None:
    assert_prints_what_is_shown(PAGE, tmp_path, stack)
