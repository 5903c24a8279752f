"""Bringing sources from elsewhere, on a real PostgreSQL: doubled and lost words, killed workers, dead hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.domain.errors import DependencyDown, RateLimited
from shared.domain.messages import SourceFailed, SourceFetched
from shared.usecases.compile_videos import may_run_inline
from shared.usecases.control import cancel_job
from shared.usecases.source_fetches import MOST_AT_ONCE, MOST_TRIES
from tests.integration.elsewhere import A, B, Elsewhere, asked, let_time_pass, look, maker, states, sweep


def test_sources_are_fetched_and_then_the_film_is_made(elsewhere: Elsewhere, tmp_path: Path) -> None:
    world = elsewhere.world
    job = asked(world, A, B, A)
    assert (world.queue.of("compile"), may_run_inline(job)) == ([], False)
    maker(world, tmp_path).compile(job.id)
    assert look(world, job).status == "pending"

    elsewhere.run_all()

    assert (elsewhere.fetched, states(world, job)) == ([A, B], ["fetched", "fetched"])
    assert world.queue.of("compile") == [{"jobId": str(job.id)}]
    assert (look(world, job).status, look(world, job).progress) == ("processing", 20)
    maker(world, tmp_path).compile(job.id)
    made = look(world, job)
    assert (made.status, made.result["videoCount"], made.user_id) == ("completed", 3, "-")
    assert "secret" not in str([made.result, made.error_message, world.events(job.id)])


def test_a_second_delivery_fetches_and_announces_nothing(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    (message,) = world.queue.of("fetch")
    elsewhere.meanwhile = lambda: elsewhere.run(message) if len(elsewhere.fetched) == 1 else None

    for _ in range(3):
        elsewhere.run(message)
    for _ in range(2):
        elsewhere.send(SourceFetched(str(job.id), 0, "video/mp4", 1))
        elsewhere.send(SourceFailed(str(job.id), 0, "too_large", "Late.", final=True))

    assert elsewhere.fetched == [A]
    assert len(world.queue.of("compile")) == 1
    assert look(world, job).status == "processing"


def test_a_worker_killed_in_mid_fetch_is_followed_by_another(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    (message,) = world.queue.of("fetch")
    assert elsewhere.inside.claim(job.id, 0, "killed")["verdict"] == "go"
    sweep(world)
    elsewhere.run(message)
    assert (elsewhere.fetched, len(world.queue.of("fetch"))) == ([], 1)

    let_time_pass(world)
    sweep(world)
    elsewhere.run(world.queue.of("fetch")[-1])

    assert (elsewhere.fetched, states(world, job)) == ([A], ["fetched"])
    assert ("job.taken_up", {"source": 0}) in world.events(job.id)
    assert elsewhere.inside.renew(job.id, 0, "killed") == {"verdict": "lost"}


def test_a_failure_told_late_takes_nothing_from_the_worker_who_is_at_it(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    late = SourceFailed(str(job.id), 0, "source_down", "It answers 503.", final=True, owner="first")
    assert elsewhere.inside.claim(job.id, 0, "first")["verdict"] == "go"
    let_time_pass(world)
    sweep(world)
    assert elsewhere.inside.claim(job.id, 0, "second")["verdict"] == "go"

    elsewhere.send(late)
    elsewhere.send(late)

    assert elsewhere.inside.renew(job.id, 0, "second") == {"verdict": "go"}
    assert (look(world, job).status.value, states(world, job)) == ("processing", ["waiting"])
    elsewhere.send(SourceFailed(str(job.id), 0, "source_down", "It answers 503.", final=True, owner="second"))
    assert look(world, job).status.value == "failed"


def test_a_failure_told_twice_costs_the_next_worker_neither_its_claim_nor_a_try(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    row = "SELECT owner, tries FROM vsl.source_fetches WHERE job_id = %s"
    for number in range(MOST_TRIES - 1):
        assert elsewhere.inside.claim(job.id, 0, f"w{number}")["verdict"] == "go"
        elsewhere.send(SourceFailed(str(job.id), 0, "source_down", "It answers 503.", final=False, owner=f"w{number}"))
    # The last try that there is: a failure counted against it would end the job.
    assert elsewhere.inside.claim(job.id, 0, "last")["verdict"] == "go"
    sent = len(world.queue.of("fetch"))

    for number in range(MOST_TRIES - 1):
        elsewhere.send(SourceFailed(str(job.id), 0, "source_down", "It answers 503.", final=False, owner=f"w{number}"))

    assert world.sql(row, job.id) == [("last", MOST_TRIES)]
    assert (look(world, job).status, len(world.queue.of("fetch"))) == ("processing", sent)
    assert elsewhere.inside.renew(job.id, 0, "last") == {"verdict": "go"}


def test_what_a_host_said_for_good_counts_though_it_is_told_late(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    assert elsewhere.inside.claim(job.id, 0, "first")["verdict"] == "go"
    let_time_pass(world)
    sweep(world)

    elsewhere.send(SourceFailed(str(job.id), 0, "too_large", "It is over the limit.", final=False, owner="first"))
    assert look(world, job).status.value == "processing"
    elsewhere.send(SourceFailed(str(job.id), 0, "too_large", "It is over the limit.", final=True, owner="first"))

    ended = look(world, job)
    assert (ended.status.value, ended.error_code) == ("failed", "too_large")


def test_what_is_told_of_a_source_is_told_of_the_bytes_that_lie_there(elsewhere: Elsewhere) -> None:
    """A worker that had lost its claim has put its own first: the host answered it otherwise."""
    world = elsewhere.world
    job = asked(world, A)
    key = job.request["sources"][0]["key"]
    elsewhere.meanwhile = lambda: world.media.put(key, b"four", "image/png")

    elsewhere.run(world.queue.of("fetch")[0])

    ended = look(world, job)
    assert (ended.status.value, "image/png, not a video" in (ended.error_message or "")) == ("failed", True)


def test_a_worker_killed_before_its_report_has_not_fetched_in_vain(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.reports_down = True
    with pytest.raises(DependencyDown):
        elsewhere.run(world.queue.of("fetch")[0])
    elsewhere.reports_down = False

    let_time_pass(world)
    sweep(world)
    elsewhere.run(world.queue.of("fetch")[-1])

    assert (elsewhere.fetched, states(world, job)) == ([A], ["fetched"])


def test_a_lost_message_is_sent_again_and_a_job_that_waits_is_not_compiled(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    world.queue.sent.clear()
    sweep(world)
    assert world.queue.sent == []

    let_time_pass(world)
    sweep(world)

    assert world.queue.sent == [("fetch", {"jobId": str(job.id), "number": 0})]


def test_a_message_for_the_film_that_is_lost_is_sent_again(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    elsewhere.run_all()
    world.queue.sent.clear()

    let_time_pass(world)
    sweep(world)

    assert world.queue.of("compile") == [{"jobId": str(job.id)}]


def test_a_dead_host_is_asked_so_often_and_then_fails_the_job_by_its_clip(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    elsewhere.files[B] = DependencyDown("https://example.org took longer than 480 seconds.")
    job = asked(world, A, B)

    elsewhere.run_all()
    for _ in range(MOST_TRIES + 2):
        let_time_pass(world)
        sweep(world)
        elsewhere.run_all()

    ended = look(world, job)
    assert elsewhere.fetched == [A, *[B] * MOST_TRIES]
    assert (ended.status, ended.error_code) == ("failed", "source_unreachable")
    assert ended.error_message is not None
    assert ended.error_message.startswith("clips.1.url: https://example.org took longer than 480 seconds. ")
    assert "POST /jobs/{jobId}/retry" in ended.error_message
    assert ended.result["details"][0]["path"] == "clips.1.url"


def test_workers_that_all_die_end_the_job_as_well(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A)
    for number in range(MOST_TRIES):
        assert elsewhere.inside.claim(job.id, 0, f"killed-{number}")["verdict"] == "go"
        let_time_pass(world)

    assert elsewhere.inside.claim(job.id, 0, "next") == {"verdict": "done"}
    assert look(world, job).error_code == "source_unreachable"
    assert "clips.0.url: Its fetch was broken off 3 times." in str(look(world, job).error_message)


def test_what_is_no_video_is_refused_by_its_clip_and_a_probe_by_its_field(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    elsewhere.content_type = "audio/mpeg"
    film, probe = asked(world, A), asked(world, A, kind="probe")

    elsewhere.run_all()

    told = [str(look(world, job).error_message) for job in (film, probe)]
    assert [text.partition(":")[0] for text in told] == ["clips.0.url", "url"]
    assert all("The file is audio/mpeg, not a video. To mend it, name the address of a video." in text for text in told)


def test_a_deadline_names_the_clips_that_had_not_come(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A, B)
    elsewhere.run(world.queue.of("fetch")[0])
    world.sql("UPDATE vsl.jobs SET deadline_at = now() WHERE id = %s", job.id)

    sweep(world)
    elsewhere.run(world.queue.of("fetch")[1])
    let_time_pass(world)
    sweep(world)

    ended = look(world, job)
    assert (ended.status, elsewhere.fetched, states(world, job)) == ("timeout", [A], ["fetched", "failed"])
    assert str(ended.error_message).startswith("clips.1.url could not be fetched before the job's deadline: see that")
    assert ended.deadline_at > ended.created_at


def test_a_cancel_reaches_the_worker_and_leaves_nothing(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    job = asked(world, A, B)

    def cancel() -> None:
        cancel_job(job.id, world.caller, records=world.records, clock=world.clock, aftermath=world.aftermath)
        claimed = world.sql("SELECT owner FROM vsl.source_fetches WHERE job_id = %s AND owner IS NOT NULL", job.id)
        assert elsewhere.inside.renew(job.id, 0, claimed[0][0]) == {"verdict": "lost"}
        elsewhere.lost.set()

    elsewhere.meanwhile = cancel
    elsewhere.run_all()

    assert (look(world, job).status, elsewhere.fetched, world.media.objects) == ("cancelled", [A], {})
    assert world.queue.of("compile") == []


def test_one_job_and_one_account_have_so_many_fetches_at_once(elsewhere: Elsewhere, film: bytes) -> None:
    world = elsewhere.world
    urls = [f"https://example.com/{number}" for number in range(MOST_AT_ONCE + 2)]
    elsewhere.files |= dict.fromkeys(urls, film)
    first, second = asked(world, *urls), asked(world, *urls)
    assert len(world.queue.of("fetch")) == 2 * MOST_AT_ONCE

    verdicts = [elsewhere.inside.claim(first.id, n, f"w{n}")["verdict"] for n in range(MOST_AT_ONCE)]
    late = elsewhere.inside.claim(second.id, 0, "late")["verdict"]
    elsewhere.send(SourceFetched(str(first.id), 0, "video/mp4", 1))

    assert (verdicts, late) == (["go"] * MOST_AT_ONCE, "wait")
    assert elsewhere.inside.claim(second.id, 0, "late")["verdict"] == "go"
    assert world.queue.of("fetch")[-1] == {"jobId": str(first.id), "number": MOST_AT_ONCE}
    waits = world.sql("SELECT due_at IS NULL FROM vsl.source_fetches WHERE job_id = %s AND number > 4", second.id)
    assert waits == [(True,)]
    # Those of a job that has ended keep no other waiting.
    assert elsewhere.inside.claim(second.id, 1, "late")["verdict"] == "wait"
    elsewhere.send(SourceFailed(str(first.id), 1, "output_expired", "It is gone.", final=True, owner="w1"))
    assert elsewhere.inside.claim(second.id, 1, "late")["verdict"] == "go"


def test_every_url_of_many_is_fetched(elsewhere: Elsewhere, film: bytes) -> None:
    world = elsewhere.world
    urls = [f"https://example.com/{number}" for number in range(3 * MOST_AT_ONCE)]
    elsewhere.files |= dict.fromkeys(urls, film)
    job = asked(world, *urls)

    elsewhere.run_all()

    assert (elsewhere.fetched, set(states(world, job))) == (urls, {"fetched"})
    assert len(world.queue.of("compile")) == 1


def test_an_account_with_too_much_unfinished_is_told_to_wait_and_nothing_is_left(elsewhere: Elsewhere) -> None:
    world = elsewhere.world
    limit = "INSERT INTO vsl.account_settings (account_id, settings) VALUES (%s, '{\"maxUnfinishedJobs\": 1}')"
    world.sql(limit, world.caller.account_id)
    asked(world, A)

    with pytest.raises(RateLimited):
        asked(world, B)

    assert world.sql("SELECT url FROM vsl.source_fetches") == [(A,)]
    assert len(world.queue.of("fetch")) == 1
