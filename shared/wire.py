"""What comes in: bodies and query strings as strict models, with every mistake by its path."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.addresses import callback_problem
from shared.domain.errors import LONGEST_PATH, MOST_MISTAKES, InvalidRequest, Mistake
from shared.domain.json_text import LEAST_INTEGER, MOST_INTEGER
from shared.domain.nearest_names import unknown_sentence

# Python, PostgreSQL and providers each have a limit of their own to how deep a value may be; this is below all of them.
DEEPEST_NESTING = 64
_LOOKED_AT = (str, float, list, dict)
NOT_TAKEN = "is not what this field takes"
WORDS: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "must be text",
    "string_sub_type": "must be text",
    "string_unicode": "must be text of Unicode characters",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be a valid integer",
    "int_parsing": "must be a valid integer",
    "int_parsing_size": "must be an integer of fewer digits",
    "int_from_float": "must be a valid integer",
    "float_type": "must be a valid number",
    "float_parsing": "must be a valid number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be greater than or equal to {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be less than or equal to {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "dict_too_short": "must have at least {min_length} fields",
    "dict_too_long": "must have at most {max_length} fields",
    "literal_error": "must be {expected}",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
    "datetime_type": "must be a time, as 2026-01-31T12:00:00Z",
    "datetime_parsing": "must be a time, as 2026-01-31T12:00:00Z",
    "datetime_object_invalid": "must be a time, as 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a time, as 2026-01-31T12:00:00Z",
    "timezone_naive": "must be a time, as 2026-01-31T12:00:00Z",
    "uuid_type": "must be an id",
    "uuid_parsing": "must be an id",
}
"""What a field must be, by pydantic's name for the objection: its own sentences are about Python."""
M = TypeVar("M", bound=BaseModel)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
MAX_SERIAL = 2**31 - 1
_SERIAL = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
# pydantic ends the path of a mistake in `int | str` with the name of each member.
_MEMBER_OF_UNION = re.compile(r"\.(?:int|float|str)$")
_USER_ID = re.compile(r"[A-Za-z0-9._@-]{1,128}")


class Wire(BaseModel):
    """Base of bodies on the wire: camelCase, no field beyond the known."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True)


class Query(BaseModel):
    """Base of query strings: their text is made into numbers and times; no parameter beyond the known."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


def in_utc(moment: datetime) -> datetime:
    """UTC where it names no zone. Raises ValueError for a time that UTC has no year for."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("must be a time of the years 1 to 9999") from None


Moment = Annotated[datetime, AfterValidator(in_utc)]
"""A time in a query: ISO 8601."""
Serial = Annotated[int, Field(ge=1, le=MAX_SERIAL)]
"""The id of a row that is numbered."""


def serial_of(text: str) -> int | None:
    """The id that a text names; None where it is no such number, however long."""
    return int(text) if _SERIAL.fullmatch(text) and int(text) <= MAX_SERIAL else None


def user_id(text: str) -> str:
    """A field's validator. Raises ValueError unless it is a user's label (docs: `[A-Za-z0-9._@-]{1,128}`)."""
    if _USER_ID.fullmatch(text) is None or text in (".", ".."):
        raise ValueError("must be 1 to 128 of A-Z a-z 0-9 . _ @ - and not '.' or '..'")
    return text


def public_https_url(text: str) -> str:
    """A field's validator. Raises ValueError unless it is an https URL of a host on the public internet."""
    problem = callback_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def validated(
    model: type[M], given: Mapping[str, Any], further: Callable[[Mapping[str, Any]], Sequence[Mistake]] = lambda _: ()
) -> M:
    """The model of what was given. Raises InvalidRequest with every mistake; `further` as in `http.body_of`."""
    mistakes = _unstorable(given)
    try:
        value = model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        mistakes += [_mistake(model, e) for e in found[:MOST_MISTAKES]] + list(further(given))
    if mistakes:
        told = {mistake.path: mistake for mistake in reversed(mistakes)}
        raise InvalidRequest("Some fields are wrong; `details` names each.", details=list(told.values())[::-1])
    return value


def _mistake(model: type[BaseModel], error: Any) -> Mistake:
    path = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return Mistake(path, unknown_sentence(str(error["loc"][-1]), _known_fields(model, error["loc"][:-1])))
    path = _MEMBER_OF_UNION.sub("", path)
    if error["type"] == "int_type" and _is_integral(error["input"]):
        return Mistake(path, f"must be an integer between {LEAST_INTEGER} and {MOST_INTEGER}")
    return Mistake(path, _words(error["type"], error.get("ctx") or {}, error["input"]))


def _words(kind: str, context: Mapping[str, Any], given: Any) -> str:
    """What a field must be, by pydantic's name of the objection (pydantic.dev, "Validation errors")."""
    if kind == "value_error":
        # Ours begin like all of these; Python's own, as of an ill-formed URL, say nothing to a caller.
        said = str(context["error"])
        return said if said[:1].islower() else NOT_TAKEN
    if kind in ("too_short", "too_long") and isinstance(given, dict):
        kind = f"dict_{kind}"
    return WORDS.get(kind, NOT_TAKEN).format(**context)


def _is_integral(value: Any) -> bool:
    """Of what `parse_json` reads: an integer that 64 bits do not hold."""
    return isinstance(value, float) and value.is_integer()


def _known_fields(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """The wire names of the model's fields, or of the model nested at `path`."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    if not path:
        return list(fields)
    within = [step for step in path[1:] if isinstance(step, str)]
    return _known_fields(_wire_in(fields[str(path[0])].annotation), within)


def _wire_in(annotation: Any) -> type[Wire]:
    """The wire model inside `list[X] | None` and the like."""
    while not (isinstance(annotation, type) and issubclass(annotation, Wire)):
        annotation = get_args(annotation)[0]
    return annotation


class _At:
    """A place in a body: written out only where there is something to say of it."""

    __slots__ = ("above", "depth", "name")

    def __init__(self, above: _At | None, name: str) -> None:
        self.above, self.name = above, name
        self.depth: int = 0 if above is None else above.depth + 1

    def path(self) -> str:
        names: list[str] = []
        at: _At | None = self
        while at is not None and at.above is not None:
            names.append(at.name[:LONGEST_PATH])
            at = at.above
        return ".".join(reversed(names))


def _unstorable(body: Mapping[str, Any]) -> list[Mistake]:
    """What JSON can say and no database keeps, anywhere in the body; the first 100, in time and memory linear in it."""
    mistakes: list[Mistake] = []
    left: list[tuple[_At, Any]] = [(_At(None, ""), body)]
    while left and len(mistakes) < MOST_MISTAKES:
        at, value = left.pop()
        problem = _unstorable_problem(value, at.depth)
        if problem:
            mistakes.append(Mistake(at.path(), problem))
        else:
            left += _children(at, value)
    return mistakes


def _children(at: _At, value: Any) -> list[tuple[_At, Any]]:
    """What lies in it and needs a look: numbers and booleans but floats cannot be wrong."""
    if isinstance(value, list):
        return [(_At(at, str(number)), item) for number, item in enumerate(value) if isinstance(item, _LOOKED_AT)]
    if not isinstance(value, dict):
        return []
    named = [(_At(at, name), item) for name, item in value.items() if isinstance(item, _LOOKED_AT)]
    return named + [(_At(at, name), name) for name in value if _UNSTORABLE.search(name)]


def _unstorable_problem(value: Any, depth: int) -> str | None:
    if isinstance(value, str) and _UNSTORABLE.search(value):
        return "must be text without NUL characters and lone surrogates"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, (list, dict)) and depth >= DEEPEST_NESTING:
        return f"must be nested less than {DEEPEST_NESTING} deep"
    return None
