"""Files brought by their owner: forms, what they take, and a clip's way into a script and a film."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest

from tests.e2e.client import Answer, Api, a_clip, eventually, fetch, pictures
from tests.e2e.conftest import Rows
from tests.s3_servers import error_code

ORIGIN = "http://localhost:3000"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """One second of H.264, 25 pictures."""
    target = tmp_path_factory.mktemp("clip") / "clip.mp4"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:d=1", str(target)]
    subprocess.run(argv, check=True)
    return target.read_bytes()


def asked(size: int, **changes: Any) -> dict[str, Any]:
    file = {"name": "Caf\u00e9 \u2013 take 1.mp4", "contentType": "video/mp4", "size": size}
    return {"userId": "tester", "kind": "clip", "files": [file], **changes}


def form_for(api: Api, body: bytes, **changes: Any) -> dict[str, Any]:
    """The first file's form."""
    file: dict[str, Any] = api.post("/api/uploads", asked(len(body), **changes)).data(201)["files"][0]
    return file


def send(form: dict[str, Any], body: bytes, **fields: str) -> httpx.Response:
    """As a browser does it: multipart/form-data, the file last."""
    return httpx.post(form["url"], data={**form["fields"], **fields}, files={"file": ("x", body)}, timeout=60)


def judged(api: Api, script_id: int, video_id: str) -> dict[str, Any]:
    """The section video once it has been looked into."""

    def look() -> Any:
        return next((v for v in api.videos(script_id) if v["videoId"] == video_id and v["status"] in ENDS), None)

    found: dict[str, Any] = eventually(look, lambda: f"{video_id} is not looked into: {api.videos(script_id)}")
    return found


ENDS = ("completed", "failed")


def test_uploaded_clips_are_reviewed_and_become_a_film(api: Api, clip: bytes, tmp_path: Path) -> None:
    script_id = api.script()
    body = asked(len(clip), scriptId=script_id)
    forms = api.post("/api/uploads", {**body, "files": body["files"] * 2}).data(201)["files"]
    for form in forms:
        assert send(form, clip).status_code == 204
    videos = [judged(api, script_id, form["videoId"]) for form in forms]
    assert [(video["status"], video["position"]) for video in videos] == [("completed", 1), ("completed", 2)]
    assert all(video["thumbnailUrl"] for video in videos)
    for form in forms:
        api.post(f"/api/section-videos/{form['videoId']}/approve").data()
    film = api.post(f"/api/scripts/{script_id}/compile").data()
    assert pictures(film["compiledVideoUrl"], tmp_path) == pictures(videos[0]["resultUrl"], tmp_path) * 2


@pytest.mark.parametrize(
    ("told", "bound"),
    [
        ("video/mp4;codecs=avc1.42E01E,mp4a.40.2", "video/mp4"),
        ('Video/MP4; codecs="avc1.42E01E, mp4a.40.2"', "video/mp4"),
        ("video/x-m4v", "video/mp4"),
    ],
)
def test_a_browsers_own_type_is_taken_as_the_type_it_is(api: Api, clip: bytes, told: str, bound: str) -> None:
    script_id = api.script()
    file = {"name": "take.mp4", "contentType": told, "size": len(clip)}
    answer = api.post("/api/uploads", asked(len(clip), files=[file], scriptId=script_id), Idempotency_Key=told)
    (form,) = answer.data(201)["files"]
    plain = asked(len(clip), files=[{**file, "contentType": bound}], scriptId=script_id)
    assert api.post("/api/uploads", plain, Idempotency_Key=told).data(201)["files"][0]["key"] == form["key"]

    sent = httpx.post(form["url"], data=form["fields"], files={"file": ("take.mp4", clip, told)}, timeout=60)

    assert (form["fields"]["Content-Type"], form["key"].rpartition(".")[2], sent.status_code) == (bound, "mp4", 204)
    video = judged(api, script_id, form["videoId"])
    assert (video["status"], fetch(video["resultUrl"])[0]) == ("completed", bound)


def test_a_form_that_is_sent_twice_makes_one_clip_of_the_first_file(api: Api, clip: bytes, tmp_path: Path) -> None:
    script_id = api.script()
    form = form_for(api, clip, scriptId=script_id)
    send(form, clip)
    first = judged(api, script_id, form["videoId"])
    before = pictures(first["resultUrl"], tmp_path)
    assert send(form, b"\0" * len(clip)).status_code == 204
    again = judged(api, script_id, form["videoId"])
    assert (again["status"], pictures(again["resultUrl"], tmp_path)) == ("completed", before)
    assert len(api.videos(script_id)) == 1


@pytest.mark.parametrize(
    ("cut", "fields", "told"),
    [
        (-1, {}, "400 EntityTooSmall"),
        (None, {"Content-Type": "text/html"}, "403 AccessDenied"),
        (None, {"key": "uploads/elsewhere.mp4"}, "403 AccessDenied"),
        (None, {"x-amz-meta-a": "b"}, "403 AccessDenied"),
        (None, {"policy": "e30="}, "403 SignatureDoesNotMatch"),
    ],
)
def test_a_form_takes_nothing_but_its_file(
    api: Api, clip: bytes, cut: int | None, fields: dict[str, str], told: str
) -> None:
    form = form_for(api, clip)
    assert error_code(send(form, clip[:cut], **fields)) == told
    assert error_code(send(form, clip + b"!")) == "400 EntityTooLarge"
    api.post("/compile-videos", {"clips": [{"s3Key": form["key"]}]}).refuses(404, "not_found")


def test_a_file_that_is_no_clip_is_refused_where_its_owner_sees_it(api: Api) -> None:
    script_id, body = api.script(), b"#EXTM3U\nhttp://127.0.0.1/secret\n"
    form = form_for(api, body, scriptId=script_id)
    send(form, body)
    video = judged(api, script_id, form["videoId"])
    assert (video["status"], video["resultUrl"]) == ("failed", None)
    assert "upload" in video["errorMessage"]
    assert api.get(f"/status/{form['jobId']}").data()["error"]["code"] == "bad_media"
    api.post(f"/api/section-videos/{form['videoId']}/approve").refuses(409, "not_completed")


def test_a_clip_that_was_brought_is_not_made_again_by_us(api: Api, clip: bytes) -> None:
    script_id = api.script()
    form = form_for(api, clip, scriptId=script_id)
    send(form, clip)
    judged(api, script_id, form["videoId"])
    path = f"/api/section-videos/{form['videoId']}/reject"
    api.post(path, {"regenerate": True}).refuses(409, "not_generated")
    assert "POST /api/uploads" in api.post(f"/jobs/{form['jobId']}/retry").refuses(409, "not_generated")


def test_own_files_and_jobs_are_sources_of_a_film_and_nobody_elses(
    api: Api, stranger: Api, clip: bytes, tmp_path: Path
) -> None:
    form = form_for(api, clip)
    send(form, clip)
    clips = {"clips": [{"s3Key": form["key"]}, {"s3Key": form["key"]}]}
    film = api.post("/compile-videos", clips).data()
    assert len(pictures(film["compiledVideoUrl"], tmp_path)) == 50
    stranger.post("/compile-videos", clips).refuses(404, "not_found")
    both = {"clips": [{"s3Key": form["key"], "videoId": "1"}]}
    assert "exactly one" in api.post("/compile-videos", both).refuses(422, "invalid_request")


@pytest.mark.parametrize(
    ("tail", "status"),
    [
        ("../../other/a", 404),
        ("%2e%2e/a", 404),
        ("a?versionId=1", 404),
        ("a\n", 404),
        ("\u202ea", 404),
        ("é" * 700, 404),
        ("a\u0000b", 422),
        ("\ud800", 422),
        ("x" * 1025, 422),
    ],
    ids=["up", "coded up", "query", "line", "turned", "1400 bytes", "NUL", "surrogate", "1025 characters"],
)
def test_no_spelling_of_a_key_leads_anywhere_but_to_a_file_of_its_owner(
    api: Api, clip: bytes, tail: str, status: int
) -> None:
    key = f"{form_for(api, clip)['key'].rpartition('/')[0]}/{tail}"
    picture = {"prompt": "x", "firstFrame": {"s3Key": key}}
    asked_of = {
        "/compile-videos": {"clips": [{"s3Key": key}]},
        "/probe": {"s3Key": key},
        "/generate-media": a_clip("", parameters=picture),
    }
    for path, body in asked_of.items():
        api.post(path, body).refuses(status, "not_found" if status == 404 else "invalid_request")


def test_a_script_of_another_account_takes_no_clip(stranger: Api, api: Api, rows: Rows) -> None:
    before = rows("SELECT count(*) FROM vsl.uploads")
    stranger.post("/api/uploads", asked(4, scriptId=api.script())).refuses(404, "not_found")
    assert rows("SELECT count(*) FROM vsl.uploads") == before


def test_the_same_key_gives_the_same_places(api: Api, words: str) -> None:
    first, again = (api.post("/api/uploads", asked(4), Idempotency_Key=words).data(201) for _ in range(2))
    assert [first["files"][0]["key"], first["uploadId"]] == [again["files"][0]["key"], again["uploadId"]]
    api.post("/api/uploads", asked(5), Idempotency_Key=words).refuses(409, "idempotency_conflict")


def test_browsers_of_our_origins_may_send_and_no_others(api: Api) -> None:
    form = form_for(api, b"clip")
    ours, other = (preflight(form["url"], origin) for origin in (ORIGIN, "https://evil.example"))
    assert (ours.status_code, ours.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "POST" in ours.headers["Access-Control-Allow-Methods"]
    assert other.status_code == 403
    sent = httpx.post(form["url"], data=form["fields"], files={"file": b"clip"}, headers={"Origin": ORIGIN})
    assert (sent.status_code, sent.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)


def preflight(url: str, origin: str) -> httpx.Response:
    return httpx.options(url, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})


@pytest.mark.parametrize("kind", ["frame", "image", "music", "captions", "font"])
def test_every_kind_has_a_place_of_the_users_own(api: Api, account_id: str, kind: str) -> None:
    types = {"music": "audio/mpeg", "captions": "text/vtt", "font": "font/ttf"}
    file = {
        "name": "..\u2215..\u2215passwd",
        "contentType": types.get(kind, "image/png"),
        "size": 4,
    }
    form = form_for(api, b"file", kind=kind, files=[file])
    root = "reference-frames" if kind == "frame" else "uploads"
    assert form["key"].startswith(f"{root}/{account_id}/tester/")
    assert ".." not in form["key"]
    assert (send(form, b"file").status_code, form["fields"]["Content-Type"]) == (204, file["contentType"])


FILE = {"name": "a.mp4", "contentType": "video/mp4", "size": 4}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"userId": "../me"}, "userId: must be 1 to 128"),
        ({"kind": "film"}, "kind: must be 'frame', 'clip'"),
        ({"files": []}, "files: must have at least 1 items"),
        ({"files": [FILE] * 101}, "files: must have at most 100 items"),
        ({"files": [{**FILE, "size": 0}]}, "files.0.size: must be greater than or equal to 1"),
        ({"files": [{**FILE, "size": True}]}, "files.0.size: must be a valid integer"),
        ({"files": [FILE, {**FILE, "size": 2**31}]}, "files.1.size: must be at most 1073741824 bytes"),
        ({"files": [{**FILE, "size": 10**30}]}, "files.0.size: must be at most 1073741824 bytes"),
        ({"files": [{**FILE, "contentType": "image/png"}]}, "files.0.contentType: must be one of video/mp4"),
        ({"files": [{**FILE, "contentType": "video/mp4\r\nX: y"}]}, "files.0.contentType: must be one of video/mp4"),
        ({"files": [{**FILE, "name": "a/b.mp4"}]}, "files.0.name: must be a file's name"),
        ({"files": [{**FILE, "name": ".."}]}, "files.0.name: must be a file's name"),
        ({"files": [{**FILE, "name": "a\u202e4pm.exe"}]}, "files.0.name: must be a file's name"),
        ({"files": [{**FILE, "name": "a\u0000"}]}, "files.0.name: must be"),
        ({"files": [{**FILE, "name": "\ud800"}]}, "files.0.name: must be"),
        ({"files": [{**FILE, "name": "x" * 256}]}, "files.0.name: must have at most 255 characters"),
        ({"files": [{**FILE, "nam": "x"}]}, "files.0.nam: unknown field; did you mean 'name'?"),
        ({"files": [FILE], "scriptId": -1}, "scriptId: must be greater than or equal to 1"),
        ({"kind": "music", "files": [{**FILE, "contentType": "audio/wav"}], "scriptId": 1}, "scriptId: only a clip"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    api: Api, rows: Rows, changes: dict[str, Any], problem: str
) -> None:
    before = rows("SELECT count(*) FROM vsl.uploads")
    assert problem in refusal(api.post("/api/uploads", asked(4, **changes)))
    assert rows("SELECT count(*) FROM vsl.uploads") == before


def refusal(answer: Answer) -> str:
    return answer.refuses(422, "invalid_request")
