"""Backups: only whole ones are restored, old ones end in time, and a server's answer is waited for."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edugraph_cli.backups import BackupError, Backups, Clock, parsed, run
from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.shared_state.object_store import Blobs

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Server:
    """A server that answers to the requests in its folder, at the next look of the job."""

    def __init__(self, folder: Path, kind: str = "graph") -> None:
        self.folder = folder
        self.file = folder / {"graph": "neo4j.dump", "redis": "dump.rdb"}[kind]
        self.data = b"first"
        self.answer = "done"
        self.now = NOW

    def look(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for request in ("dump-wanted", "load-wanted"):
            if (self.folder / request).exists() and self.answer:
                if self.answer == "done" and request == "dump-wanted":
                    self.file.write_bytes(self.data)
                if self.answer == "done" and request == "load-wanted":
                    self.data = self.file.read_bytes()
                (self.folder / request).unlink()
                (self.folder / self.answer).touch()

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.look)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    folder = tmp_path / "shared"
    folder.mkdir()
    return Server(folder)


@pytest.fixture
def do(tmp_path: Path, server: Server) -> Callable[..., list[str]]:
    """Run the command as the chart does."""

    def done(action: str, kind: str, *more: str) -> list[str]:
        urls = ["--to", str(tmp_path / "kept"), "--blobs", str(tmp_path / "blobs")]
        shared = ["--folder", str(server.folder), "--keep-days", "14", "--wait-seconds", "60"]
        return run(parsed([action, kind, *urls, *shared, *more]), server.clock)

    return done


def put(folder: Path, **texts: str) -> Blobs:
    blobs = Blobs(str(folder))
    for name, text in texts.items():
        with blobs.write(name.replace("__", "/")) as file:
            file.write(text.encode())
    return blobs


def read(folder: Path) -> dict[str, str]:
    blobs = Blobs(str(folder))
    texts = {}
    for key in blobs.keys(""):
        with blobs.open(key) as file:
            texts[key] = file.read().decode()
    return texts


def test_a_server_is_saved_and_loads_the_newest_or_a_named_one(server: Server, do: Any) -> None:
    assert do("save", "graph") == ["saved graph/20260302T080000Z"]
    (first,) = do("list", "graph")
    server.data = b"second"
    server.now += timedelta(days=1)
    do("save", "graph")
    server.data = b"lost"
    do("restore", "graph")
    assert server.data == b"second"
    do("restore", "graph", "--stamp", first.removeprefix("graph/"))
    assert server.data == b"first"
    assert sorted(each.name for each in server.folder.iterdir()) == ["done"]


@pytest.mark.parametrize(("answer", "sentence"), [("failed", "log says why"), ("", "within 60 s")])
def test_what_the_server_could_not_do_is_no_backup(
    server: Server, do: Any, answer: str, sentence: str
) -> None:
    """Out: the look for `failed`, or the end of waiting."""
    server.answer = answer
    with pytest.raises(BackupError, match=sentence):
        do("save", "graph")
    with pytest.raises(BackupError, match="no complete backup"):
        do("restore", "graph")
    assert not (server.folder / "dump-wanted").exists()


def test_a_backup_that_broke_off_or_is_damaged_is_not_restored(
    tmp_path: Path, server: Server, do: Any
) -> None:
    """Out: `complete.json` in `newest` or `files`, or the comparison in `read`."""
    do("save", "graph")
    (whole,) = do("list", "graph")
    server.now += timedelta(days=1)
    server.data = b"second"
    do("save", "graph")
    broken = do("list", "graph")[-1]
    (tmp_path / "kept" / broken / "complete.json").unlink()
    with pytest.raises(BackupError, match="not complete"):
        do("restore", "graph", "--stamp", broken.removeprefix("graph/"))
    do("restore", "graph")
    assert server.data == b"first"
    (tmp_path / "kept" / whole / "files" / "neo4j.dump").write_bytes(b"fir5t")
    server.data = b"as it is"
    with pytest.raises(BackupError, match="damaged"):
        do("restore", "graph")
    assert server.data == b"as it is"
    # Out: `finally` in `restore_server`.
    assert list(server.folder.glob("*dump*")) == []
    assert list(server.folder.glob("*.part")) == []


def test_no_dump_stays_at_the_server_if_it_cannot_be_kept(
    server: Server, do: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: `finally` in `save_server`."""

    def fails(*_: Any) -> None:
        raise Retryable("the store is away")

    monkeypatch.setattr(Backups, "write", fails)
    with pytest.raises(Retryable):
        do("save", "graph")
    assert not server.file.exists()


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_backup_ends_after_its_days_whether_or_not_a_new_one_can_be_made(
    server: Server, do: Any, succeeds: bool
) -> None:
    """Erased persons' data end in time. Out: `end_old`, or its place before the saving."""
    do("save", "graph")
    (old,) = do("list", "graph")
    server.now += timedelta(days=12, hours=22)
    do("save", "graph")
    assert old in do("list", "graph")
    server.now += timedelta(hours=2)
    server.answer = "done" if succeeds else "failed"
    if succeeds:
        assert f"deleted {old}" in do("save", "graph")
    else:
        with pytest.raises(BackupError):
            do("save", "graph")
    assert old not in do("list", "graph")


def test_no_backup_is_older_than_its_days_between_runs_that_start_late(tmp_path: Path) -> None:
    """Out: NEXT_RUN. A run that starts a second earlier in its minute than the one of 14 days ago would leave it."""
    backups = Backups(Blobs(str(tmp_path)), "objects")
    late_seconds = (0, 2, 0, 3600, 1, 59, 3600, 0)
    for day in range(40):
        now = NOW + timedelta(days=day, seconds=late_seconds[day % len(late_seconds)])
        for stamp in backups.stamps():
            made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
            assert now - made <= timedelta(days=14)
        backups.end_old(now, 14)
        backups.complete(now.strftime("%Y%m%dT%H%M%SZ"), {})
        assert len(backups.stamps()) >= min(day + 1, 12)


def test_blobs_come_back_where_they_are_missing_and_newer_ones_stay(
    tmp_path: Path, do: Any
) -> None:
    """Out: `present` in `restore_blobs`: a row that was blanked since would be written back."""
    blobs = put(tmp_path / "blobs", jobs__a="rows of a", jobs__b="rows of b", erasures__h="one")
    do("save", "objects")
    put(tmp_path / "blobs", jobs__b="blanked", erasures__g="two")
    blobs.delete("jobs/a")
    do("restore", "objects")
    assert read(tmp_path / "blobs") == {
        "jobs/a": "rows of a",
        "jobs/b": "blanked",
        "erasures/h": "one",
        "erasures/g": "two",
    }


def test_erasures_and_undos_are_saved_alone(tmp_path: Path, do: Any) -> None:
    put(tmp_path / "blobs", jobs__a="rows", erasures__h="one", undos__j="two")
    do("save", "erasures")
    Blobs(str(tmp_path / "blobs")).delete("")
    do("restore", "erasures")
    assert read(tmp_path / "blobs") == {"erasures/h": "one", "undos/j": "two"}


def test_a_store_that_lost_notes_does_not_become_the_newest_backup_of_them(
    tmp_path: Path, server: Server, do: Any
) -> None:
    """Out: `check_notes`: a restore would take an empty backup, and a replay would erase nobody."""
    blobs = put(tmp_path / "blobs", erasures__h="one", erasures__g="two", undos__j="three")
    do("save", "erasures")
    (whole,) = do("list", "erasures")
    blobs.delete("")
    for lost in ({}, {"erasures__h": "one"}, {"erasures__new": "four"}):
        put(tmp_path / "blobs", **lost)
        server.now += timedelta(hours=1)
        with pytest.raises(BackupError, match=f"notes of {whole} are not in the blob store"):
            do("save", "erasures")
    do("restore", "erasures")
    assert read(tmp_path / "blobs") == {
        "erasures/h": "one",
        "erasures/g": "two",
        "erasures/new": "four",
        "undos/j": "three",
    }
    server.now += timedelta(hours=1)
    do("save", "erasures")
    # A person who is admitted again has no note any more.
    blobs.delete("erasures/h")
    server.now += timedelta(hours=1)
    do("save", "erasures", "--with-fewer-notes")
    server.now += timedelta(hours=1)
    do("save", "erasures")


@pytest.mark.parametrize(
    ("kept", "blobs", "overlap"),
    [
        ("a", "a", True),
        ("a/kept", "a", True),
        ("a", "a/blobs/", True),
        ("a-kept", "a", False),
        ("kept/a", "a", False),
    ],
)
def test_backups_and_blobs_are_not_below_each_other(
    tmp_path: Path, do: Any, kept: str, blobs: str, overlap: bool
) -> None:
    """Out: `overlaps` in `run`: each backup would hold all backups before it."""
    put(tmp_path / blobs, jobs__a="rows")
    urls = ("--to", f"file://{tmp_path}/{kept}", "--blobs", f"{tmp_path}/{blobs}")
    if overlap:
        with pytest.raises(BackupError, match="below each other"):
            do("save", "objects", *urls)
    else:
        assert len(do("save", "objects", *urls)) == 1


def test_complete_is_written_last(tmp_path: Path, do: Any, monkeypatch: Any) -> None:
    """Out: the order in `save_blobs`."""
    put(tmp_path / "blobs", jobs__a="rows", jobs__b="rows")
    written = []
    write = Blobs.write

    def noted(self: Blobs, key: str) -> Any:
        written.append(key.rsplit("/", 1)[-1])
        return write(self, key)

    monkeypatch.setattr(Blobs, "write", noted)
    do("save", "objects")
    assert written == ["a", "b", "complete.json"]
    backups = Backups(Blobs(str(tmp_path / "kept")), "objects")
    with backups.store.open(f"objects/{backups.newest()}/complete.json") as file:
        assert json.load(file)["jobs/a"]["size"] == 4
