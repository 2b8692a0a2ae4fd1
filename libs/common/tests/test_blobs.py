"""The blob store: whole or not at all, and never outside its folder."""

from contextlib import suppress
from pathlib import Path

import pytest

from edugraph_common.contracts.errors import Rejected, Retryable
from edugraph_common.platform.object_store import Blobs, is_below


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "store"))


def test_a_blob_is_read_in_part_by_its_range(blobs: Blobs) -> None:
    with blobs.write("jobs/1/source") as file:
        file.write("一二三".encode())
    assert blobs.read("jobs/1/source", 3, 3).decode() == "二"
    assert blobs.keys("jobs/1") == ["jobs/1/source"]


def test_a_blob_that_was_not_written_to_its_end_is_not_there(blobs: Blobs) -> None:
    with suppress(ZeroDivisionError), blobs.write("jobs/1/source") as file:
        file.write(b"half")
        _ = 1 / 0
    assert not blobs.exists("jobs/1/source")
    assert blobs.keys("jobs") == []


def test_a_blob_that_is_gone_is_told_by_its_key(blobs: Blobs) -> None:
    with pytest.raises(Rejected, match="jobs/2/source"):
        blobs.read("jobs/2/source", 0, 1)


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "jobs/../../x"])
def test_a_key_cannot_leave_the_store(blobs: Blobs, key: str) -> None:
    with pytest.raises(Rejected, match="relative path"):
        blobs.exists(key)


def test_deleting_a_folder_deletes_all_below_it(blobs: Blobs) -> None:
    for key in ("jobs/1/a", "jobs/1/rejects/b", "jobs/2/a"):
        with blobs.write(key) as file:
            file.write(b"x")
    blobs.delete("jobs/1")
    assert blobs.keys("jobs") == ["jobs/2/a"]


ALLOWED = ("s3://exports/2026", "https://files.example.edu/out/")


@pytest.mark.parametrize(
    "url",
    ["s3://exports/2026/a.ndjson", "https://files.example.edu/out/a%20b.csv?signature=x", "s3://exports/2026/a..b/c"],
)
def test_a_file_outside_may_be_below_what_is_allowed(url: str) -> None:
    assert is_below(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "s3://exports/2026",
        "s3://exports/2026-of-others/a",
        "s3://exports/2026/../secret",
        "s3://exports/2026/%2e%2e/secret",
        "s3://exports/2026/%252e%252e/secret",
        "s3://exports/2026/a/..",
        "s3://exports/2026/..\\secret",
        "s3://exports/2026/a::file:///etc/passwd",
        "simplecache::s3://exports/2026/a",
        "file:///etc/passwd",
        "S3://exports/2026/a",
        "http://files.example.edu/out/a",
        "https://files.example.edu@evil.example/out/a",
        "https://files.example.edu.evil.example/out/a",
        "s3://exports/2026/a\nb",
        "",
    ],
)
def test_nothing_else_outside_is_read(url: str, tmp_path: Path) -> None:
    assert not is_below(url, ALLOWED)
    if "://" in url:
        with pytest.raises(Rejected, match="EDUGRAPH_IMPORTS_FROM"):
            Blobs(str(tmp_path), ALLOWED).open(url)


def test_a_file_outside_is_read_in_part_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "a").write_bytes(b"abcdef")
    url, blobs = f"file://{tmp_path}/exports/a", Blobs(str(tmp_path / "store"), [f"file://{tmp_path}/exports"])
    assert blobs.read(url, 2, 3) == b"cde"
    for change in (blobs.delete, blobs.exists, blobs.keys):
        with pytest.raises(Rejected, match="relative path"):
            change(url)
    with pytest.raises(Rejected, match="is gone"):
        blobs.open(f"{url}?secret=1".replace("/a?", "/b?"))


def test_a_signature_is_never_said(tmp_path: Path) -> None:
    with pytest.raises(Rejected) as refused:
        Blobs(str(tmp_path)).open("https://host/a?signature=secret")
    assert "secret" not in refused.value.reason
    assert "host/a" in refused.value.reason


def test_a_store_that_is_away_is_not_one_without_the_blob(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "store" / "blobs"))
    assert not blobs.exists("jobs")
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(Retryable):
        blobs.exists("jobs")
