"""An erasure goes to every store that the registry of personal data gives an eraser, and a dry run changes none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import SecretStr

from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import PLACES, Store
from edugraph_common.runtime.messaging.dead_letters import Rewritten
from edugraph_common.runtime.shared_state.job_store import LETTERS_TO_CLEAN
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.erasure import MAX_SHOWN, Erasure, tell_restricted
from edugraph_importer.graph import Cause, Graph, GraphSettings
from edugraph_importer.graph.persons import SettledPersons
from edugraph_importer.graph.removal import Known


@dataclass
class Stores:
    """Stands for graph, jobs, texts in Redis, members and letters, and notes what it was asked for."""

    asked: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    erased_at: datetime | None = None

    @staticmethod
    def settle_persons() -> SettledPersons:
        return SettledPersons(finished=True)

    @staticmethod
    def ids_of_persons(ids: Any) -> frozenset[str]:
        return frozenset(ids)

    @staticmethod
    def claims_about(_ids: Any) -> dict[str, tuple[str, ...]]:
        return {}

    def look(self, ids: Any) -> Known:
        return Known(frozenset(), frozenset({"record"}), is_there=bool(ids), erased=False)

    def block(self, ids: Any, _person: str, _erased_at: datetime) -> list[str]:
        self.changed.add("tombstone")
        return [f"k:{each}" for each in ids]

    def erase_student(self, student_id: str, _cause: Cause) -> dict[str, int]:
        if "graph" in self.changed:
            return {}
        self.changed.add("graph")
        return {"Student": len(student_id)}

    @staticmethod
    def texts() -> Iterator[tuple[str, str, str]]:
        yield from ()

    @contextmanager
    def erasing(self) -> Iterator[Callable[[], None]]:
        yield lambda: None

    @staticmethod
    def erased_among(ids: frozenset[str]) -> frozenset[str]:
        return ids & {"s"}

    def last_erasure(self) -> datetime | None:
        return self.erased_at

    @staticmethod
    def is_open(job_id: str) -> bool:
        return job_id == "open"

    @staticmethod
    def hide_file_names(_: Any, **__: Any) -> int:
        return 0

    def cleaned(self, job_id: str, marks: Any) -> None:
        assert not marks
        assert "dead_letters" not in self.changed, (
            "a letter that is noted meanwhile would be forgotten"
        )
        self.changed.add(f"cleaned {job_id}")

    @staticmethod
    def erased_test() -> Any:
        return lambda _: False

    def clean_later(self, job_id: str) -> None:
        self.changed.add(f"later {job_id}")

    def rewrite(
        self, patterns: Sequence[str], change: Callable[[str], str], *, dry_run: bool = False
    ) -> int:
        self.asked.update(patterns)
        if not dry_run:
            self.changed.update(patterns)
        return len(change("{}"))

    def forget(self) -> None:
        self.changed.add("members")

    @staticmethod
    def epoch() -> str:
        return "1"

    @staticmethod
    def restricted() -> None:
        return None

    @staticmethod
    def restricted_students() -> set[str]:
        return set()

    def tell_restricted(self, student_ids: Any, epoch: str) -> None:
        assert (student_ids, epoch) == (set(), "1")

    def tell_changes(self) -> None:
        self.changed.add("answers of insights")

    def letters(
        self, change: Callable[[bytes], bytes], *, dry_run: bool, go_on: Callable[[], None]
    ) -> Rewritten:
        go_on()
        self.asked.add("dead_letters")
        if not dry_run:
            self.changed.add("dead_letters")
        return Rewritten(len(change(b"{}")), {}, [])


ROW = b'{"type": "error_record", "data": {"student_id": "s"}}\n'
REWRITTEN = {
    pattern
    for place in PLACES
    if place.store is Store.REDIS and place.eraser and place.eraser != "members"
    for pattern in place.patterns
}


def _erasure(stores: Stores, blobs: Blobs) -> Erasure:
    everything = cast("Any", stores)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Erasure(
        everything,
        everything,
        blobs,
        everything,
        everything,
        stores.letters,
        lambda: now,
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_every_store_with_an_eraser_is_cleaned(tmp_path: Path, dry_run: bool) -> None:
    """Out: any of the erasers in `_clean`, `clean_later` there, or `forget` and the graph in `erase`."""
    stores, blobs = Stores(), Blobs(str(tmp_path))
    for job in ("open", "ended"):
        with blobs.write(f"jobs/{job}/source.ndjson") as file:
            file.write(ROW)
    result = _erasure(stores, blobs).erase(("s",), dry_run=dry_run)
    erasers = {place.eraser for place in PLACES if place.eraser}
    assert set(result["removed"]) == erasers - {"members"}  # which only forgets a copy
    assert stores.asked == REWRITTEN | {"dead_letters"}
    everywhere = REWRITTEN | {
        "dead_letters",
        "members",
        "graph",
        "tombstone",
        "later open",
        "answers of insights",
    }
    assert stores.changed == (set() if dry_run else everywhere)
    left = {job: blobs.exists(f"jobs/{job}/source.ndjson") for job in ("open", "ended")}
    assert left == {"open": True, "ended": dry_run}


@dataclass
class ManyClaims(Stores):
    """The graph of a person Z9 whose id 0 is claimed by more persons than a dry run shows."""

    @staticmethod
    def claims_about(_ids: Any) -> dict[str, tuple[str, ...]]:
        claims = {f"A{number:03}": ("0",) for number in range(2 * MAX_SHOWN)}
        return {**claims, "Z9": ("0", "Z10")}


def test_a_dry_run_shows_the_claim_of_the_person_before_those_of_others(tmp_path: Path) -> None:
    """Out: the order. The claim says which ids are not erased, and might be cut off."""
    shown = _erasure(ManyClaims(), Blobs(str(tmp_path))).erase(("Z9",), dry_run=True)
    assert shown["claims"][0] == {"person_id": "Z9", "also": ["0", "Z10"]}
    assert (len(shown["claims"]), shown["claims_in_all"]) == (MAX_SHOWN, 2 * MAX_SHOWN + 1)


def test_letters_that_were_stored_after_an_erasure_are_cleaned(tmp_path: Path) -> None:
    """Out: the look for LETTERS_TO_CLEAN in `clean`, or `cleaned` after the letters."""
    stores = Stores()
    result = _erasure(stores, Blobs(str(tmp_path))).clean(LETTERS_TO_CLEAN)
    assert stores.changed == {f"cleaned {LETTERS_TO_CLEAN}", "dead_letters"}
    assert result == {"removed": {"dead_letters": {"letters": 2}}}


def test_of_an_erased_person_a_reject_says_only_that_there_was_one(tmp_path: Path) -> None:
    """Out: `model_copy` or `clean_later` in `cleared`. Such a row meets no tombstone in the graph."""
    stores = Stores()
    message = ImportBatch(job_id="j", batch=0, records=({"type": "none"},))
    rejects = [
        Reject(
            line=line,
            field="type",
            expected="a type",
            found=f"of {student}",
            reason="is wrong",
            raw=raw,
        )
        for line, (student, raw) in enumerate(
            [
                ("s", ROW.decode()),
                ("t", ROW.decode().replace('"s"', '"t"')),
                ("?", "no JSON"),
                ("-", None),
            ],
            start=1,
        )
    ]
    erasure = _erasure(stores, Blobs(str(tmp_path)))
    shown = erasure.cleared(message, rejects)
    assert shown == (rejects[0].model_copy(update={"found": "", "raw": None}), *rejects[1:])
    assert stores.changed == {"later j"}
    assert _erasure(stores, Blobs(str(tmp_path))).cleared(message, rejects[1:]) == tuple(
        rejects[1:]
    )


class Told:
    """Analyzer and gateway, who know the list or not."""

    def __init__(self, known: frozenset[str] | None) -> None:
        self.known, self.told = known, list[tuple[set[str], str]]()

    def restricted(self) -> frozenset[str] | None:
        return self.known

    @staticmethod
    def epoch() -> str:
        return "1"

    def tell_restricted(self, student_ids: set[str], epoch: str) -> None:
        self.told.append((student_ids, epoch))


@pytest.mark.parametrize("known", [None, frozenset[str]()])
def test_who_is_restricted_is_told_to_who_does_not_know_it(known: frozenset[str] | None) -> None:
    """Out: the question in `tell_restricted`, which each import begins with: it would read all students each time."""
    members, asked = Told(known), list[str]()

    class Students:
        @staticmethod
        def restricted_students() -> set[str]:
            asked.append("graph")
            return {"s"}

    tell_restricted(cast("Any", members), cast("Any", Students()))
    assert (members.told, asked) == (([({"s"}, "1")], ["graph"]) if known is None else ([], []))


def test_of_no_course_the_graph_is_asked_nothing() -> None:
    """Out: `if ids` in `course_contexts`. Who only wants to know who is restricted names no course."""
    settings = GraphSettings(
        uri="bolt://127.0.0.1:1",
        user="u",
        password=SecretStr("p"),
        privacy_secret=SecretStr("s" * 16),
    )
    assert Graph(settings).course_contexts(()) == ()
