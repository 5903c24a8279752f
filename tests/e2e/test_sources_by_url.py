"""Clips named by URL: read from our own bucket, or fetched from elsewhere before the film, the plan or the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.bringing import bring
from tests.e2e.client import Answer, Api, eventually, pictures
from tests.e2e.conftest import Rows
from tests.faults.observing import Observed
from tests.footage import clip
from tests.scripted_server import ScriptedServer, by_path, reply, scripted

Watch = Callable[[], AbstractContextManager[None]]
Serving = Callable[[Mapping[str, bytes]], AbstractContextManager[ScriptedServer]]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [clip(folder / "a.mp4"), clip(folder / "b.mp4", hertz=600)]


@pytest.fixture
def serving(stack: dict[str, Any]) -> Serving:
    """`with serving({path: answer}):` is a host elsewhere that the functions may reach."""

    @contextmanager
    def served(answers: Mapping[str, bytes]) -> Iterator[ScriptedServer]:
        with scripted(by_path(answers), port=urlsplit(stack["sourcesUrl"]).port or 0) as server:
            yield server

    return served


def body_of(path: Path) -> bytes:
    return reply(200, path.read_bytes(), Content_Type="application/octet-stream")


def under_way(answer: Answer) -> str:
    """The job's id of an answer that says where it will be found."""
    data = answer.data(202)
    assert (data["status"], answer.headers["location"]) == ("processing", data["statusUrl"])
    assert data["statusUrl"].endswith(f"/status/{data['jobId']}")
    return str(data["jobId"])


def own_url(api: Api, path: Path) -> str:
    """A signed address of a file in our bucket, as a caller is given it."""
    key = bring(api, path)
    film = api.post("/compile-videos", {"clips": [{"s3Key": key}]}).data()
    address = film["compiledVideoUrl"].partition("/compiled/")[0]
    return f"{address}/{key}?{film['compiledVideoUrl'].partition('?')[2]}"


def test_clips_from_elsewhere_become_a_film(api: Api, films: list[Path], serving: Serving, tmp_path: Path) -> None:
    here = bring(api, films[1])
    with serving({"/a.mp4": body_of(films[0])}) as host:
        clips = [{"url": f"{host.origin}/a.mp4?take=1"}, {"s3Key": here}, {"url": f"{host.origin}/a.mp4?take=1"}]
        job = api.completed(under_way(api.post("/compile-videos", {"clips": clips})))

    assert [asked.path for asked in host.asked] == ["/a.mp4?take=1"]
    assert (job["kind"], job["userId"], job["result"]["strategy"]) == ("compile", "tester", "splice")
    assert len(pictures(job["result"]["originalUrl"], tmp_path)) == 72
    assert job["result"]["verification"]["ok"]


def test_a_plan_of_clips_from_elsewhere_is_a_job_whose_result_it_is(
    api: Api, films: list[Path], serving: Serving, rows: Rows
) -> None:
    asked = {"clips": [{"s3Key": bring(api, films[0])}, {"s3Key": bring(api, films[1])}]}
    at_once = api.post("/compile-videos/plan", asked).data()
    with serving({"/a": body_of(films[0]), "/b": body_of(films[1])}) as host:
        named = {"clips": [{"url": f"{host.origin}/a"}, {"url": f"{host.origin}/b"}]}
        job = api.completed(under_way(api.post("/compile-videos", {**named, "dryRun": True})))
        waited = api.post("/compile-videos/plan", named, Prefer="wait=25").data()

    for plan in (job["result"], waited):
        assert {**plan, "clips": None, "estimate": None} == {**at_once, "clips": None, "estimate": None}
        assert [one["probe"]["seconds"] for one in plan["clips"]] == [o["probe"]["seconds"] for o in at_once["clips"]]
        assert [one["s3Key"] for one in plan["clips"]] == [None, None]
    assert (job["kind"], job.get("actualCost"), "error" in job) == ("plan", 0, False)
    assert rows("SELECT count(*) FROM vsl.cost_ledger WHERE job_id = %s", job["jobId"]) == [(0,)]
    assert rows("SELECT s3_key FROM vsl.jobs WHERE id = %s", job["jobId"]) == [(None,)]


def test_a_clip_elsewhere_is_probed_by_a_job(api: Api, films: list[Path], serving: Serving) -> None:
    at_once = api.post("/probe", {"s3Key": bring(api, films[0])}).data()
    with serving({"/a": body_of(films[0])}) as host:
        job = api.completed(under_way(api.post("/probe", {"url": f"{host.origin}/a"})))

    assert (job["kind"], job["result"]) == ("probe", at_once)


def test_a_url_of_our_own_bucket_is_its_key(
    api: Api, stranger: Api, films: list[Path], stack: dict[str, Any], nothing_made: Watch
) -> None:
    url = own_url(api, films[0])
    assert httpx.get(url).status_code == 403
    bare = url.partition("?")[0]

    with nothing_made():
        plans = [api.post("/compile-videos/plan", {"clips": [{"url": one}]}).data() for one in (url, bare)]
        probe = api.post("/probe", {"url": bare}).data()
        for path in ("/compile-videos", "/compile-videos/plan"):
            stranger.post(path, {"clips": [{"url": url}]}).refuses(404, "not_found")
        stranger.post("/probe", {"url": url}).refuses(404, "not_found")
    film = api.post("/compile-videos", {"clips": [{"url": url}]}, Idempotency_Key=bare)
    again = api.post("/compile-videos", {"clips": [{"url": bare}]}, Idempotency_Key=bare)

    assert {plan["clips"][0]["s3Key"] for plan in plans} == {bare.partition(f"/{stack['bucket']}/")[2]}
    assert probe["seconds"] == plans[0]["totalDuration"]
    assert (film.status, film.data()["jobId"]) == (200, again.data()["jobId"])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/a.mp4", "must be an https URL"),
        ("ftp://example.com/a.mp4", "must be a plain https URL"),
        ("https://example.com:99999/a", "must be a plain https URL"),
        ("https://user:word@example.com/a.mp4", "must be a plain https URL"),
        ("https://169.254.169.254/latest/meta-data/", "not public"),
        ("https://10.0.0.1/a.mp4", "not public"),
        ("https://[::1]/a.mp4", "not public"),
        ("http://127.0.0.1:1/a.mp4", "must be an https URL"),
        ("data:video/mp4;base64,AAAA", "must be a plain https URL"),
        ("a.mp4", "must be a plain https URL"),
    ],
)
def test_a_url_that_nothing_is_fetched_from_is_refused_by_its_clip(
    api: Api, url: str, problem: str, nothing_made: Watch
) -> None:
    named = {"clips": [{"url": "https://example.com/a.mp4"}, {"url": url}, {"url": url}]}
    with nothing_made():
        refusals = [api.post(path, named) for path in ("/compile-videos", "/compile-videos/plan")]
        probed = api.post("/probe", {"url": url}).refuses(422, "invalid_request")

    for refused in refusals:
        assert problem in refused.refuses(422, "invalid_request")
        assert [one["path"] for one in refused.body["details"]] == ["clips.1.url", "clips.2.url"]
        assert "POST /api/uploads" in refused.body["error"]
    assert problem in probed
    assert "url:" in probed


GONE = reply(404, b"no")
PICTURE = reply(200, b"\x89PNG\r\n\x1a\n" + bytes(2000))


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (GONE, "output_expired", "does not have the file (404)"),
        (reply(403, b"no"), "output_expired", "check the address"),
        (reply(200, b"<html>a page</html>" * 40), "bad_media", "no image, video or sound"),
        (PICTURE, "bad_media", "image/png, not a video"),
        (reply(302, Location="https://169.254.169.254/latest/meta-data/"), "address_refused", "not public"),
        (reply(302, Location="http://127.0.0.1:9/a.mp4"), "address_refused", "https"),
        (reply(200, b"", Content_Length=str(2 * 1024**3)), "too_large", "over the limit of 1073741824 bytes"),
        (reply(418, b"no"), "bad_media", "answers 418"),
    ],
)
def test_what_cannot_be_fetched_fails_its_job_by_its_clip(
    api: Api, films: list[Path], serving: Serving, answer: bytes, code: str, told: str
) -> None:
    with serving({"/secret/good": body_of(films[0]), "/secret/bad": answer}) as host:
        clips = [{"url": f"{host.origin}/secret/good"}, {"url": f"{host.origin}/secret/bad?token=secret"}]
        job = api.ended(under_way(api.post("/compile-videos", {"clips": clips})))
        planned = api.post("/compile-videos/plan", {"clips": clips}, Prefer="wait=25")

    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert job["error"]["message"].startswith("clips.1.url: ")
    assert told in job["error"]["message"]
    assert "To mend it, " in job["error"]["message"]
    assert [one["path"] for one in job["error"]["details"]] == ["clips.1.url"]
    assert "secret" not in str(job["error"])
    assert told in planned.refuses(422, code)
    assert [one["path"] for one in planned.body["details"]] == ["clips.1.url"]


def test_a_file_that_only_begins_like_a_clip_is_named_as_one_that_cannot_be_read(api: Api, serving: Serving) -> None:
    with serving({"/a": reply(200, b"\0\0\0\x18ftypmp42" + bytes(4000))}) as host:
        refused = api.post("/compile-videos", {"clips": [{"url": f"{host.origin}/a"}]}, Prefer="wait=25")

    assert "Clip 1" in refused.refuses(422, "bad_media")


def test_the_same_key_fetches_once(api: Api, films: list[Path], serving: Serving, words: str) -> None:
    with serving({"/a": body_of(films[0]), "/b": body_of(films[0])}) as host:
        named = [{"clips": [{"url": f"{host.origin}/{name}"}]} for name in "ab"]
        first, again = (
            under_way(api.post("/compile-videos", named[0], Idempotency_Key=words)),
            api.post("/compile-videos", named[0], Idempotency_Key=words),
        )
        api.post("/compile-videos", named[1], Idempotency_Key=words).refuses(409, "idempotency_conflict")
        plan = under_way(api.post("/compile-videos", {**named[0], "dryRun": True}, Idempotency_Key=f"{words} dry"))
        for job in (first, plan):
            api.completed(job)
        done = api.post("/compile-videos", named[0], Idempotency_Key=words)

    assert again.body["data"]["jobId"] == first
    assert (done.status, done.data()["jobId"], plan != first) == (200, first, True)
    assert [asked.path for asked in host.asked] == ["/a", "/a"]


def test_a_retry_goes_on_with_what_was_fetched(api: Api, films: list[Path], serving: Serving) -> None:
    with serving({"/a": body_of(films[0])}) as host:
        clips = [{"url": f"{host.origin}/a"}, {"url": f"{host.origin}/b"}]
        failed = api.ended(under_way(api.post("/compile-videos", {"clips": clips})))
    with serving({"/b": body_of(films[1])}) as host:
        retried = api.completed(api.post(f"/jobs/{failed['jobId']}/retry").data(202)["jobId"])
    again = api.completed(api.post(f"/jobs/{retried['jobId']}/retry").data(202)["jobId"])

    assert (failed["status"], retried["retryOf"], again["status"]) == ("failed", failed["jobId"], "completed")
    assert [asked.path for asked in host.asked] == ["/b"]
    assert retried["result"]["videoCount"] == again["result"]["videoCount"] == 2


def test_a_film_of_fetched_clips_is_erased_with_them(
    api: Api, stack: dict[str, Any], films: list[Path], serving: Serving, account_id: str
) -> None:
    admin, s3 = Api(stack["baseUrl"], stack["adminApiKey"]), Observed(stack).aws("s3")
    with serving({"/a": body_of(films[0])}) as host:
        job = api.completed(under_way(api.post("/compile-videos", {"clips": [{"url": f"{host.origin}/a"}]})))
    prefix = f"fetched/{account_id}/{job['jobId']}/"
    assert s3.list_objects_v2(Bucket=stack["bucket"], Prefix=prefix)["KeyCount"] == 1

    receipt = admin.call("DELETE", f"/api/videos/{job['jobId']}").data()

    eventually(lambda: s3.list_objects_v2(Bucket=stack["bucket"], Prefix=prefix)["KeyCount"] == 0, lambda: str(receipt))
    assert receipt["erased"]["fetches"] == 1
