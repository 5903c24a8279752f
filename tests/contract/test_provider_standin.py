"""The stand-in speaks Replicate's contract: the official SDK takes it for Replicate."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from replicate.exceptions import ModelError, ReplicateError
from replicate.pagination import paginate
from replicate.webhook import Webhooks, WebhookSigningSecret

from local.media_provider import BadProviderSetting, MediaProvider
from local.provider.answers import Bucket
from local.provider.webhooks import may_be_called, sign
from tests.scripted_server import ScriptedServer, reply, scripted
from tests.standin_process import FFMPEG, IMAGE, TEXT, VIDEO, StandIn, heard, running, streams, wait_for


def test_the_sdk_runs_a_video_model_and_the_clip_plays(standin: StandIn, tmp_path: Path) -> None:
    prediction = standin.sdk.predictions.create(VIDEO, {"prompt": "the sea [size=320x180][duration=1]"})
    prediction.wait()

    assert (prediction.status, len(prediction.id), prediction.version) == ("succeeded", 26, "hidden")
    assert isinstance(prediction.output, str)
    told = streams(httpx.get(prediction.output).content, tmp_path)
    assert re.search(r"Video: h264 \(High\).*yuv420p\(tv, bt709.*320x180.*24 fps", told)
    assert "frame=   24" in told


def test_the_sdk_runs_an_image_model_and_waits_in_the_call(standin: StandIn) -> None:
    files = standin.sdk.run(IMAGE, input={"prompt": "a fox", "num_outputs": 2, "megapixels": "0.25"})

    assert [file.read()[8:12] for file in files] == [b"WEBP", b"WEBP"]


def test_the_sdk_runs_a_language_model(standin: StandIn) -> None:
    assert "tea" in "".join(standin.sdk.run(TEXT, input={"prompt": "tea"}))


def test_music_is_a_wav_file(standin: StandIn) -> None:
    version = standin.sdk.models.get("meta/musicgen").latest_version
    assert version is not None

    music = standin.output(standin.create(version.id, "calm", {"duration": 1}))

    assert music.content[:4] == b"RIFF"


def test_a_failed_run_raises_the_models_words_in_the_sdk(standin: StandIn) -> None:
    with pytest.raises(ModelError, match="out of clay"):
        standin.sdk.run(VIDEO, input={"prompt": "[fail=out of clay]"}, wait=False)


def test_the_sdk_cancels_and_only_the_time_it_ran_is_billed(standin: StandIn) -> None:
    prediction = standin.sdk.predictions.create(VIDEO, {"prompt": "[seconds=60] slow"})
    wait_for(lambda: standin.sdk.predictions.get(prediction.id).status == "processing")

    prediction.cancel()

    assert prediction.status == "canceled"
    assert 0 < standin.made(prediction.id)["billedUsd"] < 0.036


def test_the_sdk_pages_through_all_predictions_newest_first(standin: StandIn) -> None:
    made = [standin.create(TEXT, f"page {number}").json()["id"] for number in range(105)]

    listed = [one.id for page in paginate(standin.sdk.predictions.list) for one in page.results]

    assert len(listed) == len(set(listed))
    assert [one for one in listed if one in set(made)] == made[::-1]


def test_the_sdk_reads_models_and_their_schema(standin: StandIn) -> None:
    version = standin.sdk.models.get(VIDEO).latest_version
    assert version is not None

    schema = version.openapi_schema["components"]["schemas"]["Input"]
    assert schema["required"] == ["prompt"]
    assert (schema["properties"]["duration"]["minimum"], schema["properties"]["duration"]["maximum"]) == (2, 12)


def test_an_uploaded_image_is_what_the_clip_starts_from(standin: StandIn, tmp_path: Path) -> None:
    picture = tmp_path / "red.ppm"
    picture.write_bytes(b"P6 2 2 255 " + b"\xff\x00\x00" * 4)
    link = standin.sdk.files.create(picture).urls["get"]

    clip = standin.output(standin.create(VIDEO, "red", {"image": link}))

    (tmp_path / "clip.mp4").write_bytes(clip.content)
    pixel = [FFMPEG, "-v", "error", "-i", str(tmp_path / "clip.mp4"), "-vf", "crop=2:2:2:2", "-frames:v", "1"]
    red, green, _ = subprocess.run([*pixel, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True).stdout[:3]
    assert red > 200 > 60 > green


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        ({"version": "nobody/nothing", "input": {}}, 422),
        ({"version": "stability-ai/sdxl", "input": {"prompt": "by name"}}, 422),
        ({"version": VIDEO, "input": {}}, 422),
        ({"version": VIDEO, "input": {"prompt": "long", "duration": 13}}, 422),
        ({"version": VIDEO, "input": {"prompt": "wrong", "duration": "5"}}, 422),
        ({"version": VIDEO, "input": {"prompt": "plain"}, "webhook": "http://127.0.0.1.example.com/"}, 422),
        ({"version": VIDEO, "input": {"prompt": "[fps=many]"}}, 422),
    ],
)
def test_what_replicate_refuses_is_refused(standin: StandIn, request_body: dict[str, Any], status: int) -> None:
    answer = standin.http.post("/v1/predictions", json=request_body)

    assert (answer.status_code, set(answer.json()) >= {"title", "detail", "status"}) == (status, True)


def test_no_token_is_401_and_an_unknown_model_404(standin: StandIn) -> None:
    with pytest.raises(ReplicateError, match="404"):
        standin.sdk.models.get("nobody/nothing")
    assert httpx.get(f"{standin.http.base_url}/v1/predictions").json() == {
        "title": "Unauthenticated",
        "detail": "You did not pass a valid authentication token",
        "status": 401,
    }


def test_creates_run_out_after_six_hundred_and_come_back() -> None:
    bucket = Bucket(per_minute=600)

    assert [bucket.take() for _ in range(700)].index(False) < 650
    assert bucket.reset_seconds == 1


def test_the_signature_is_the_one_of_the_specification() -> None:
    signed = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://127.0.0.1.example.com", "ftp://127.0.0.1", "", "http://"]
)
def test_webhooks_go_out_by_https_alone(url: str) -> None:
    assert not may_be_called(url)


def test_a_webhook_holds_the_prediction_and_the_sdk_accepts_its_signature(
    standin: StandIn, hooks: ScriptedServer
) -> None:
    created = standin.create(IMAGE, "a hook", webhook=f"{hooks.origin}/signed", webhook_events_filter=["completed"])
    final = standin.ended(created)
    wait_for(lambda: heard(hooks, "/signed"))

    (hook,) = heard(hooks, "/signed")
    secret = WebhookSigningSecret(key=standin.sdk.webhooks.default.secret().key)
    Webhooks.validate(headers=dict(hook.headers), body=hook.body.decode(), secret=secret, tolerance=60)
    assert json.loads(hook.body) == final


def test_all_events_are_told_unless_they_are_filtered(standin: StandIn, hooks: ScriptedServer) -> None:
    standin.ended(standin.create(TEXT, "all events", webhook=f"{hooks.origin}/all"))
    wait_for(lambda: len(heard(hooks, "/all")) == 4)

    bodies = [json.loads(hook.body) for hook in heard(hooks, "/all")]
    told = {(body["status"], body["output"] is None) for body in bodies}
    assert told == {("processing", True), ("processing", False), ("succeeded", False)}


def test_a_webhook_that_is_refused_comes_again_with_its_id(standin: StandIn) -> None:
    answers = [reply(307, Location="http://127.0.0.1:9/"), reply(503), reply(200)]
    with scripted(lambda connection, _: connection.sendall(answers.pop(0))) as receiver:
        standin.ended(standin.create(TEXT, "again", webhook=receiver.origin, webhook_events_filter=["completed"]))
        wait_for(lambda: len(receiver.asked) == 3)

    assert len({asked.headers["webhook-id"] for asked in receiver.asked}) == 1


def test_outputs_are_served_in_ranges_and_tokens_sent_there_are_trapped(standin: StandIn) -> None:
    link = standin.ended(standin.create(VIDEO, "a range"))["output"]

    part = httpx.get(link, headers={"Range": "bytes=4-7"})
    whole = standin.http.get(link)

    assert (part.status_code, part.content, part.headers["etag"]) == (206, b"ftyp", whole.headers["etag"])
    assert part.headers["content-range"] == f"bytes 4-7/{whole.headers['content-length']}"
    trapped = standin.http.get("/_standin/trap").json()
    assert [row["path"] for row in trapped if row["path"] in link] == [httpx.URL(link).path]


def test_clips_of_one_model_join_by_stream_copy(standin: StandIn, tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.mp4").write_bytes(standin.output(standin.create(VIDEO, f"part {number}")).content)
    (tmp_path / "list.txt").write_text("file 0.mp4\nfile 1.mp4\n")

    copy = [FFMPEG, "-v", "error", "-f", "concat", "-i", str(tmp_path / "list.txt"), "-c", "copy"]
    subprocess.run([*copy, str(tmp_path / "film.mp4")], check=True)

    told = streams((tmp_path / "film.mp4").read_bytes(), tmp_path)
    assert "frame=   48" in told
    assert "Error" not in told


def test_a_token_that_is_refused_is_named_with_the_remedy(tmp_path: Path) -> None:
    with running(tmp_path, token="r8_right") as strict, pytest.raises(BadProviderSetting, match="REPLICATE_API_TOKEN"):
        MediaProvider(f"http://127.0.0.1:{strict.port}/v1", "r8_wrong", "").webhook_secret()
