"""Rows of `vsl.jobs` stay under 256 KB whatever comes in: what is large is refused, or lies in the bucket."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.adapters.postgres.transaction import PostgresTransaction
from shared.domain.catalog import parse_catalog
from shared.domain.errors import InvalidRequest, TooLarge
from shared.domain.row_limits import (
    DECODED_BYTES,
    METADATA_BYTES,
    MOST_SENTENCES,
    PARAMETERS_BYTES,
    bounded_record,
    first_items,
    first_sentences,
    json_bytes,
)
from shared.observability import logger, observed
from shared.usecases import compile_film
from shared.usecases.compile_request import ClipSource, CompileRequest
from shared.usecases.compile_videos import with_decoded
from shared.usecases.generate_media import GenerateRequest
from shared.usecases.read_status import details_of
from tests.integration import inside
from tests.integration.elsewhere import A, Elsewhere, again, asked, cancel, look, maker, requested, states
from tests.integration.inside import World
from tests.lambda_context import LambdaContext

MOST_BYTES = 256 * 1024
SIZE = "SELECT octet_length(jobs::text) FROM vsl.jobs WHERE id = %s"


def _size(world: World, job_id: UUID) -> int:
    ((size,),) = world.sql(SIZE, job_id)
    return int(size)


@pytest.fixture(autouse=True)
def _long_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry may allow prompts of any length: the row's limit holds all the same."""
    registry = json.loads((Path(__file__).parents[2] / "config" / "models.json").read_text())
    registry["video"]["seedance-1-lite"]["limits"]["prompt"]["maxLength"] = 10**6
    monkeypatch.setattr(inside, "CATALOG", parse_catalog(registry))


def _asked(prompt: str, **metadata: str) -> GenerateRequest:
    parameters = {"prompt": prompt, "duration": 3}
    return GenerateRequest("user", "video", "seedance-1-lite", parameters, metadata=metadata, fallback=False)


@pytest.mark.parametrize("character", ["a", "\x01", "\u00e9", "\U0001f3ac"])
def test_the_largest_request_for_media_makes_a_row_within_the_limit(world: World, character: str) -> None:
    each = json_bytes(character) - 2
    prompt = character * ((PARAMETERS_BYTES - 60) // each)
    note = character * ((METADATA_BYTES - 60) // each)

    _, job_id, _ = world.generate(_asked(prompt, note=note))

    assert PARAMETERS_BYTES < _size(world, job_id) < MOST_BYTES


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (_asked("\x01" * (PARAMETERS_BYTES // 6)), "parameters"),
        (_asked("x", note="n" * METADATA_BYTES), "metadata"),
        (_asked("x", **{f"key {n}": "" for n in range(METADATA_BYTES // 10)}), "metadata"),
    ],
)
def test_a_larger_one_is_refused_by_field_before_anything_is_written(
    world: World, request_: GenerateRequest, field: str
) -> None:
    before = world.sql("SELECT count(*) FROM vsl.jobs")

    with pytest.raises(InvalidRequest) as refused:
        world.generate(request_)

    assert [mistake.path for mistake in refused.value.details] == [field]
    assert world.sql("SELECT count(*) FROM vsl.jobs") == before


def test_clips_that_were_decoded_are_named_and_not_copied(world: World) -> None:
    """A clip's decoded facts of 2 MB were copied into a film's row once for each time that the clip was named."""
    job = _clip_of_junk(world)
    clips = [ClipSource(job_id=job)] * 200

    film = requested(world, CompileRequest("POST /compile-videos", clips=clips))

    assert _size(world, film.id) < MOST_BYTES
    with world.records.transaction() as tx:
        sources = with_decoded(tx, film.request["sources"], world.caller.account_id)
    assert [source["decoded"]["black"] for source in sources] == [[[0, 1]]] * 200


def test_two_hundred_long_addresses_make_a_row_within_the_limit_and_can_be_retried(elsewhere: Elsewhere) -> None:
    world, film = elsewhere.world, next(iter(elsewhere.files.values()))
    urls = [f"https://example.com/{number}.mp4?token={'t' * 4000}" for number in range(200)]
    elsewhere.files.update(dict.fromkeys(urls, film))

    job = asked(world, *urls)
    elsewhere.run_all()
    cancel(world, job)
    second = again(world, job)

    assert _size(world, job.id) < MOST_BYTES
    assert _size(world, second.id) < MOST_BYTES
    assert set(elsewhere.fetched) == set(urls)
    assert states(world, second) == ["fetched"] * 200


def test_a_long_plan_lies_in_the_bucket_and_is_answered_as_a_short_one(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = elsewhere.world
    answers: list[dict[str, Any]] = []
    for most in (64_000, 100):
        monkeypatch.setattr(compile_film, "RESULT_BYTES", most)
        job = asked(world, A, kind="plan")
        elsewhere.run_all()
        maker(world, tmp_path).compile(job.id)
        answers.append(details_of(look(world, job).result, world.media))

    assert set(look(world, job).result) == {"documentKey"}
    assert answers[0]["strategy"] == answers[1]["strategy"]
    assert answers[0]["clips"][0]["probe"] == answers[1]["clips"][0]["probe"]
    logged = "SELECT operation, key FROM vsl.storage_operations WHERE job_id = %s"
    assert world.sql(logged, job.id) == [("upload", look(world, job).result["documentKey"])]


@pytest.mark.parametrize("column", ["request", "result", "metadata"])
def test_the_database_takes_no_larger_row(world: World, column: str) -> None:
    _, job_id, _ = world.generate()
    document = "jsonb_build_object('junk', repeat('x', 250001))"
    with pytest.raises(psycopg.errors.CheckViolation, match="jobs_bounded"):
        world.sql(f"UPDATE vsl.jobs SET {column} = {document} WHERE id = %s", job_id)


REFUSED = {
    "a check": ("UPDATE vsl.jobs SET width = -1 WHERE id = %(id)s", "constraint jobs_width_check of table jobs"),
    "a column that must not be null": ("UPDATE vsl.jobs SET kind = NULL WHERE id = %(id)s", "SQLSTATE 23502"),
    "a row that is there": (
        "INSERT INTO vsl.accounts (id, name, usage_plan_key) SELECT gen_random_uuid(), %(secret)s, 'k' "
        "FROM generate_series(1, 2)",
        "of table accounts",
    ),
    "a value of the wrong type": ("SELECT CAST(%(secret)s AS uuid)", "SQLSTATE 22P02"),
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_the_database_refuses_is_logged_without_what_a_caller_sent(
    world: World, statement: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret, (sql, told) = f"a prompt {uuid4().hex}", REFUSED[statement]
    _, job_id, _ = world.generate(_asked(secret))

    @observed
    def handler(_event: dict[str, Any], _context: Any) -> None:
        with world.records.transaction() as tx:
            assert isinstance(tx, PostgresTransaction)
            tx.cursor.execute(sql, {"id": job_id, "secret": secret})

    with pytest.raises(psycopg.Error):
        handler({}, LambdaContext())

    line = logger.registered_formatter.format(caplog.records[-1])
    assert ("invocation_failed" in line, told in line, "tx.cursor.execute" in line) == (True, True, True)
    assert secret[:16] not in line  # PostgreSQL shortens a row that it quotes


def test_what_was_found_in_a_clip_is_kept_as_far_as_it_is_small() -> None:
    small, large = {"etag": "e", "black": [[0, 1]]}, "x" * DECODED_BYTES
    assert bounded_record({**small, "heads": "h", "shown": "s"}) == {**small, "heads": "h", "shown": "s"}
    assert bounded_record({**small, "heads": large, "shown": "s"}) == {**small, "shown": "s"}
    assert bounded_record({**small, "heads": "h", "shown": large}) == small
    assert bounded_record({**small, "silent": large}) is None


def test_of_many_sentences_the_first_are_kept_and_the_others_counted() -> None:
    sentences = [f"Clip {number} differs." for number in range(200)]
    kept = first_sentences(sentences)
    assert (len(kept), kept[-1]) == (MOST_SENTENCES, "There are 151 more of these.")
    assert first_sentences(sentences[:50]) == sentences[:50]


def _clip_of_junk(world: World) -> UUID:
    """A clip in whose index stands as much as an upload's row may keep."""
    _, job_id, _ = world.generate()
    record = bounded_record({"etag": "e", "black": [[0, 1]], "silent": [], "heads": "h" * (DECODED_BYTES - 100)})
    world.sql(
        "UPDATE vsl.jobs SET status = 'completed', completed_at = now(), s3_key = 'generated/x', "
        "content_type = 'video/mp4', duration_seconds = 3, result = %s WHERE id = %s",
        psycopg.types.json.Jsonb({"outputs": [{"key": "generated/x", "decoded": record}]}),
        job_id,
    )
    return job_id


def test_a_row_that_would_be_too_large_is_an_error_of_ours_without_the_rows_words(world: World) -> None:
    """1e308 has 6 bytes as JSON, and 309 in the row: what is sent is not always as large as what is kept."""
    with pytest.raises(TooLarge) as refused:
        world.generate(replace(_asked("secret"), metadata={"a": [1e308] * 1500}))
    assert refused.value.__cause__ is None
    assert "secret" not in str(refused.value)


def test_long_lists_of_a_films_proof_are_cut_and_counted() -> None:
    dark = [[n, n + 1] for n in range(5000)]
    found = first_items({"ok": True, "black": dark, "clips": [{"silent": list(range(200))}]})
    assert (len(found["black"]), found["blackCount"]) == (100, 5000)
    assert (len(found["clips"][0]["silent"]), found["clips"][0]["silentCount"]) == (100, 200)
    assert json_bytes(found) < 10_000
