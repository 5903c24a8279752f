"""Keys are made by us: no part of one is a caller's, but for a user's label that holds nothing else than letters."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain.storage_keys import (
    compiled_folder,
    frames_folder,
    generated_folder,
    incoming_key,
    is_of_account,
    job_of_upload,
    upload_folder,
    user_of_own_key,
)
from shared.wire import user_id

ACCOUNT, OTHER, JOB = (UUID(int=number) for number in (1, 2, 3))
NOW = datetime(2026, 1, 2, tzinfo=UTC)
# What has been put into names to get out of a folder, end a text early, or be another name after a decoding.
HOSTILE = (
    "../up",
    "..",
    ".",
    "a/b",
    "/etc/passwd",
    "..\\up",
    "a\\b",
    "%2e%2e%2fup",
    "..%2fup",
    "%252e%252e",
    "a\x00b",
    "a\r\nb",
    "a\tb",
    "x" * 1025,
    "é" * 513,
    "\u2025/up",
    "\uff0e\uff0e\uff0fup",
    "a\u202e4pm",
    "\ud800",
    "",
    " ",
    "a?versionId=1",
    "a#b",
    "a*b",
    "${accountId}",
    "a&b",
)


def shortly(text: str) -> str:
    return ascii(text)[:60]


@pytest.mark.parametrize("label", HOSTILE, ids=shortly)
def test_no_hostile_label_of_a_user_gets_into_a_key(label: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        user_id(label)


def test_every_place_lies_below_its_account_and_fits_s3() -> None:
    longest = "a" * 128
    for folder in (
        generated_folder(ACCOUNT, longest, NOW, JOB),
        upload_folder(ACCOUNT, longest, JOB),
        frames_folder(ACCOUNT, longest, NOW, JOB),
        compiled_folder(ACCOUNT, 2**31 - 1, JOB),
    ):
        assert is_of_account(f"{folder}/original.mp4", ACCOUNT)
        assert not is_of_account(f"{folder}/original.mp4", OTHER)
        assert len(f"{folder}/original-10000.mp4".encode()) <= 1024
    assert incoming_key(JOB, 1, 0) == f"incoming/{JOB}/1/0"


@pytest.mark.parametrize(
    "key",
    [
        f"uploads/{OTHER}/user/x/a.mp4",
        f"uploads/{ACCOUNT}/../{OTHER}/user/a.mp4",
        f"uploads/{ACCOUNT}/./user/x/a.mp4",
        f"uploads/{ACCOUNT}//x/a.mp4",
        f"uploads//{ACCOUNT}/user/a.mp4",
        f"/uploads/{ACCOUNT}/user/x/a.mp4",
        f"uploads/{ACCOUNT}/user/",
        f"uploads/{ACCOUNT}/user/../../{OTHER}/a.mp4",
        f"UPLOADS/{ACCOUNT}/user/x/a.mp4",
        f"uploads/{str(ACCOUNT).upper()}x/user/x/a.mp4",
        f"uploads/{{{ACCOUNT}}}/user/x/a.mp4",
        f"%75ploads/{ACCOUNT}/user/x/a.mp4",
        f"uploads%2f{ACCOUNT}/user/x/a.mp4",
        f"incoming/{ACCOUNT}/1/0",
        f"derived/{ACCOUNT}/user/x/a.mp4",
        "catalog/models.json",
        "",
        "uploads",
        f"uploads/{ACCOUNT}",
        f"uploads/{ACCOUNT}\x00/user/x/a.mp4",
        f"uploads/{ACCOUNT}/user/" + "x" * 1024,
        f"uploads/{ACCOUNT}/user/" + "é" * 512,
    ],
    ids=shortly,
)
def test_no_spelling_of_a_key_is_another_accounts_or_the_products_own(key: str) -> None:
    assert user_of_own_key(key, ACCOUNT) is None


@pytest.mark.parametrize("name", [*HOSTILE, str(JOB)[:-1], f"{JOB}/..", f"../{JOB}"], ids=shortly)
def test_an_upload_under_another_name_is_no_jobs(name: str) -> None:
    assert job_of_upload(f"uploads/{ACCOUNT}/user/{JOB}/{name}") is None
    assert job_of_upload(f"uploads/{ACCOUNT}/user/{JOB}/{JOB}.mp4") == JOB
