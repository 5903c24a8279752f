"""Replicate's JSON in our words."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.replicate_prediction import is_answer_to, outputs_and_text, to_prediction

A, B = "https://replicate.delivery/x/out-0.png", "https://replicate.delivery/x/out-1.png"
DATA = "data:image/png;base64,iVBORw0KGgo="


def prediction(**fields: Any) -> Any:
    return to_prediction({"id": "p1", "status": "processing", **fields})


@pytest.mark.parametrize("status", ["succeeded", "failed", "canceled", "aborted"])
def test_ends_keep_their_names(status: str) -> None:
    assert (prediction(status=status).status, prediction(status=status).provider_status) == (status, status)


@pytest.mark.parametrize("status", ["starting", "processing", "queued", "SUCCEEDED", "a new one"])
def test_all_else_is_still_running(status: str) -> None:
    assert (prediction(status=status).status, prediction(status=status).provider_status) == ("running", status)


@pytest.mark.parametrize("body", [{}, {"id": "p1"}, {"status": "failed"}, {"id": 1, "status": "failed"}, {"id": ""}])
def test_without_id_or_status_it_is_no_prediction(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="without"):
        to_prediction(body)


@pytest.mark.parametrize(
    ("output", "addresses", "text"),
    [
        (None, (), None),
        (A, (A,), None),
        ([A, B], (A, B), None),
        ([DATA], (DATA,), None),
        ([A, None, ""], (A,), None),
        ({"video": A, "thumbnail": [B]}, (A, B), None),
        ({"video": A, "caption": "A cat."}, (A,), "A cat."),
        (["Once", " upon", " a time"], (), "Once upon a time"),
        ("A cat.", (), "A cat."),
        ([{"image": A}, {"image": B}], (A, B), None),
        ([[A], [B]], (A, B), None),
        ([], (), None),
        ("", (), None),
        (7, (), None),
        ([1, True, {"score": 0.5}], (), None),
    ],
)
def test_outputs_of_every_shape(output: Any, addresses: tuple[str, ...], text: str | None) -> None:
    assert outputs_and_text(output) == (addresses, text, text)


JSON = '{"video": "' + A + '", "seed": 7}'


@pytest.mark.parametrize(
    ("output", "addresses", "text", "caption"),
    [
        (["See ", A, "."], (A,), f"See {A}.", "See \n."),
        ([A, "A cat."], (A,), f"{A}A cat.", "A cat."),
        (["A cat.", A, B], (A, B), f"A cat.{A}{B}", "A cat."),
        ({"files": [A, "A cat."]}, (A,), f"{A}A cat.", "A cat."),
        (A + "\n", (A,), None, None),
        ([f" {A}", f"{B}\r\n"], (A, B), None, None),
        (JSON, (A,), JSON, None),
        (f"\n{JSON}\n", (A,), f"\n{JSON}\n", None),
        (f'["{A}", "{B}"]', (A, B), f'["{A}", "{B}"]', None),
        ([JSON, "A cat."], (A,), JSON + "A cat.", "A cat."),
        ('{"answer": "A cat."}', (), '{"answer": "A cat."}', '{"answer": "A cat."}'),
        (
            '{"answer": "see ' + A + ' there"}',
            (),
            '{"answer": "see ' + A + ' there"}',
            '{"answer": "see ' + A + ' there"}',
        ),
        ("[" * 5000, (), "[" * 5000, "[" * 5000),
        ("{not JSON " + A, (), "{not JSON " + A, "{not JSON " + A),
    ],
)
def test_media_beside_text_or_in_it_is_found_and_the_text_is_kept(
    output: Any, addresses: tuple[str, ...], text: str | None, caption: str | None
) -> None:
    assert outputs_and_text(output) == (addresses, text, caption)


def test_a_very_deep_output_is_cut_off() -> None:
    deep: Any = A
    for _ in range(500):
        deep = {"inner": deep}

    assert outputs_and_text(deep) == ((), None, None)


@pytest.mark.parametrize(
    ("logs", "percent"),
    [
        ("  0%|          | 0/28\n 50%|#####     | 14/28 [00:01<00:01]", 50),
        ("Using seed: 1\n 3%\r 97%\r100%|###| 28/28", 100),
        ("37.5%", 37),
        ("done", None),
        ("1234%", None),
        ("10% then 250%", None),
        (None, None),
        (["50%"], None),
    ],
)
def test_progress_is_the_last_percentage_of_the_logs(logs: Any, percent: int | None) -> None:
    assert prediction(logs=logs).progress == percent


@pytest.mark.parametrize(
    ("metrics", "seconds"),
    [
        ({"predict_time": 1.5}, 1.5),
        ({"predict_time": 2}, 2.0),
        ({"predict_time": True}, None),
        ({}, None),
        ({"predict_time": "1"}, None),
        ({"predict_time": -1}, None),
        ({"predict_time": float("nan")}, None),
        ({"predict_time": 10**400}, None),
        (None, None),
        ([], None),
    ],
)
def test_predict_seconds_are_a_sound_number_or_unknown(metrics: Any, seconds: float | None) -> None:
    assert prediction(metrics=metrics).predict_seconds == seconds


def test_errors_are_texts_of_bounded_length() -> None:
    assert prediction(error={"code": 1}).error == '{"code": 1}'
    assert prediction(error=None).error is None
    assert len(str(prediction(error="x" * 5000).error)) == 500


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        ("aborted", None, True),
        ("failed", "Prediction interrupted; please retry (code: PA)", True),
        ("failed", "Director: unexpected error handling prediction (E8765)", True),
        ("failed", "Service is temporarily unavailable. Please try again later. (E004)", True),
        ("failed", "NSFW content detected. Please retry with another prompt.", False),
        (
            "failed",
            "The input or output was flagged as sensitive. Please try again with different inputs. (E005)",
            False,
        ),
        ("failed", "Prediction interrupted by the safety checker (code: PA)", False),
        ("failed", "CUDA out of memory (E1001)", False),
        ("failed", "invalid image", False),
        ("failed", {"code": "PA"}, False),
        ("failed", None, False),
        ("canceled", "Prediction interrupted; please retry (code: PA)", False),
        ("succeeded", None, False),
        ("starting", None, False),
    ],
)
def test_only_the_providers_own_failures_are_worth_another_try(status: str, error: Any, retryable: bool) -> None:
    assert prediction(status=status, error=error).retryable is retryable


@pytest.mark.parametrize(
    ("metrics", "used"),
    [
        ({"token_input_count": 3, "token_output_count": 4}, (7, None, None)),
        ({"input_token_count": 3, "output_token_count": 4}, (7, None, None)),
        ({"token_input_count": 3, "input_token_count": 3, "output_token_count": 4}, (7, None, None)),
        ({"token_output_count": 4}, (None, None, None)),
        ({"image_output_count": 2}, (None, 2, None)),
        ({"video_output_duration_seconds": 5.04}, (None, None, 5.04)),
        ({"audio_output_duration_seconds": 8}, (None, None, 8.0)),
        ({"image_output_count": -1, "token_output_count": True, "video_output_duration_seconds": "5"}, (None,) * 3),
        ({"image_output_count": 10**30, "token_output_count": 1.5}, (None,) * 3),
    ],
)
def test_what_was_billed_is_counted(metrics: Any, used: tuple[Any, ...]) -> None:
    seen = prediction(metrics=metrics)

    assert (seen.tokens, seen.images, seen.media_seconds) == used


def test_logs_are_bounded_and_open_no_doors() -> None:
    address = "https://bucket.s3.amazonaws.com/a.png?X-Amz-Signature=abc"
    logs = prediction(logs=f"{'x' * 9000} early\nloading {address}\nBearer abc r8_token1 hf_token2\n50%|##\n").logs

    assert logs == "early\nloading [address]\n[secret] [secret] [secret]\n50%|##"
    assert len(prediction(logs="word " * 9000).logs or "") <= 2000
    assert prediction(logs="x" * 9000 + address).logs == ""


def test_an_error_shows_no_address() -> None:
    assert prediction(error="cannot read https://b/a?X-Amz-Signature=abc now").error == "cannot read [address] now"


def test_what_no_database_keeps_is_left_out() -> None:
    seen = prediction(status="a\0new", error="b\ud800ad", logs="c\0d", output=["e\0", "f\udfff"])

    assert (seen.provider_status, seen.error, seen.logs, seen.text) == ("anew", "bad", "cd", "ef")


def test_deleted_data_is_told() -> None:
    assert prediction(data_removed=True).removed
    assert not prediction(data_removed=None).removed


@pytest.mark.parametrize(
    ("version", "entry", "alike"),
    [
        ("o/n", {"model": "o/n", "version": "hidden"}, True),
        ("o/n", {"model": "o/m", "version": "hidden"}, False),
        ("o/n:abc", {"model": "o/n", "version": "abc"}, True),
        ("o/n:abc", {"version": "abc"}, True),
        ("o/n:abc", {"model": "o/m", "version": "abc"}, False),
        ("o/n:abc", {"model": "o/n", "version": "abd"}, False),
        ("abc", {"model": "o/n", "version": "abc"}, True),
        ("abc", {}, False),
    ],
)
def test_an_answer_has_the_model_and_input_of_its_request(version: str, entry: dict[str, str], alike: bool) -> None:
    request = {"version": version, "input": {"prompt": "a", "seed": 1}}

    assert is_answer_to({**entry, "input": {"seed": 1, "prompt": "a"}}, request) is alike
    assert not is_answer_to({**entry, "input": {"seed": 2, "prompt": "a"}}, request)


@pytest.mark.parametrize(
    ("sent", "shown", "alike"),
    [
        ("https://b/a.png?sig=1", "https://b/a.png?sig=2", True),
        ("https://b/a.png?sig=1", "https://b/c.png?sig=1", False),
        ("data:image/png;base64,AAAA", "https://provider.example/files/1", True),
        ("is it a cat?", "is it a dog?", False),
    ],
)
def test_an_input_is_the_same_whatever_signs_or_keeps_its_pictures(sent: str, shown: str, alike: bool) -> None:
    request = {"version": "o/n", "input": {"image": sent, "seed": 1}}

    assert is_answer_to({"model": "o/n", "input": {"image": shown, "seed": 1}}, request) is alike
    assert not is_answer_to({"model": "o/n", "input": {"image": shown, "seed": 2}}, request)
