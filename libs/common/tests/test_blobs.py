"""The blob store: whole or not at all, and never outside its folder."""

from contextlib import suppress
from pathlib import Path

import pytest

from edugraph_common.blobs import Blobs
from edugraph_common.failures import Rejected


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
