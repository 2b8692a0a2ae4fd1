"""An id and each name of a person are found beside every kind of neighbour in every store that holds texts.

The stores are stand-ins that keep texts and apply the changes of a real `Erasure`. What the text of another record holds
is listed and not changed.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.runtime.messaging.dead_letters import Rewritten
from edugraph_common.runtime.shared_state.job_store import LETTERS_TO_CLEAN
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_importer.erasure import Erasure
from edugraph_importer.erasure.waiting import has_waited, letter_without_wrong_rows
from edugraph_importer.graph import Cause
from edugraph_importer.graph.persons import SettledPersons
from edugraph_importer.graph.removal import Known

STUDENT = "ZQ0104"
ID_AT_LMS = "né-77"
NAMES = (
    "欧阳思齐",
    "Quillon Zephyr",
    "阿依古丽·买买提",
    "Zoë O'Neill",
    "Олег",
    "محمد علي",
    "김민수",
)
ERASED_AT = datetime(2026, 1, 1, tzinfo=UTC)
HIDDEN = "the name of a file that is gone"
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
# A few characters of each kind. A word goes on with a character of its own kind only.
NEIGHBOURS = {
    "digit": "07",
    "Latin": "aZé",
    "other": "жλबש",
    "without spaces": "和的のก",
    "mark": "_-.,·'/()：，“@",
    "space": " \t",
}


def kind_of(character: str) -> str:
    """Return the kind of a character by its name in Unicode, which the code under test does not use."""
    if character.isdigit():
        return "digit"
    script = unicodedata.name(character, "").split(" ")[0]
    return script if character.isalpha() and script in ("LATIN", "CYRILLIC", "ARABIC") else "none"


def neighbours_of(character: str) -> list[str]:
    """Return the characters that do not continue a word with this one, and none at all."""
    every = "".join(NEIGHBOURS.values())
    return [
        "",
        *(each for each in every if kind_of(each) == "none" or kind_of(each) != kind_of(character)),
    ]


def plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate({0x200B: None, 0xAD: None})


def spelt_out(word: str) -> list[str]:
    """Return a name of one word with a sign between its characters. Ids and names of several words have no such form."""
    if not word.isalpha():
        return []
    return ["-".join(word), ".".join(word), " ".join(word)]


@st.composite
def words_with_neighbours(draw: st.DrawFn) -> tuple[str, str, str]:
    word = draw(st.sampled_from((STUDENT, ID_AT_LMS, *NAMES)))
    before = draw(st.sampled_from(neighbours_of(word[0])))
    behind = draw(st.sampled_from(neighbours_of(word[-1])))
    forms = (
        word,
        word.upper(),
        word.lower(),
        unicodedata.normalize("NFD", word),
        word.translate(FULL_WIDTH),
        "\u200b".join(word),
        "\u00ad".join(word),
        unicodedata.normalize("NFKC", word.translate(FULL_WIDTH)),
        "".join(f"&#{ord(each)};" for each in word),
        "".join(f"&amp;#x{ord(each):x};" for each in word),
        quote(word, safe=""),
        "".join(f"\\u{ord(each):04x}" for each in word),
        *spelt_out(word),
    )
    written = draw(st.sampled_from(forms))
    return before, written, behind


@dataclass
class Texts:
    """Stands for graph, jobs, texts in Redis, members and dead letters. `redis` holds texts by the eraser's name."""

    redis: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    written: list[tuple[str, str, str]] = field(default_factory=list)
    letter: bytes = b""
    to_clean: set[str] = field(default_factory=set)

    @staticmethod
    def settle_persons() -> SettledPersons:
        return SettledPersons(finished=True)

    @staticmethod
    def ids_of_persons(ids: Any) -> frozenset[str]:
        return frozenset({*ids, ID_AT_LMS})

    @staticmethod
    def look(ids: Any) -> Known:
        return Known(frozenset(NAMES), frozenset(), is_there=bool(ids), erased=False)

    @staticmethod
    def block(ids: Any, _person: str, _erased_at: datetime) -> list[str]:
        return [f"k:{each}" for each in ids]

    @staticmethod
    def erase_student(_student_id: str, _cause: Cause) -> dict[str, int]:
        return {}

    def texts(self) -> Iterator[tuple[str, str, str]]:
        yield from self.written

    @contextmanager
    def erasing(self) -> Iterator[Callable[[], None]]:
        yield lambda: None

    @staticmethod
    def erased_among(ids: frozenset[str]) -> frozenset[str]:
        return ids & {STUDENT, ID_AT_LMS}

    @staticmethod
    def last_erasure() -> datetime:
        return ERASED_AT

    def clean_later(self, job_id: str) -> None:
        self.to_clean.add(job_id)

    def cleaned(self, _job_id: str, _marks: Any) -> None: ...

    @staticmethod
    def erased_test() -> Callable[[str], bool]:
        return lambda _hash: False

    @staticmethod
    def is_open(_job_id: str) -> bool:
        return False

    def hide_file_names(self, is_named_in: Callable[[str], bool], *, dry_run: bool) -> int:
        assert not dry_run
        self.files = [HIDDEN if is_named_in(name) else name for name in self.files]
        return self.files.count(HIDDEN)

    def rewrite(
        self, patterns: Sequence[str], change: Callable[[str], str], *, dry_run: bool = False
    ) -> int:
        assert not dry_run
        for store, texts in self.redis.items():
            if tuple(patterns) == tuple(patterns_of(cast("Any", store))):
                self.redis[store] = [change(text) for text in texts]
        return 0

    def forget(self) -> None: ...

    @staticmethod
    def epoch() -> str:
        return "1"

    @staticmethod
    def restricted() -> set[str]:
        return set()

    def tell_changes(self) -> None: ...

    def letters(
        self, change: Callable[[bytes], bytes], *, go_on: Callable[[], None], dry_run: bool
    ) -> Rewritten:
        assert not dry_run
        go_on()
        self.letter = change(self.letter)
        return Rewritten(1, {}, [])


def reject(raw: str, found: str = "x") -> dict[str, Any]:
    return {
        "line": 3,
        "field": "score",
        "expected": "a number",
        "found": found,
        "reason": "not one",
        "raw": raw,
    }


def erasure_of(stores: Texts, folder: str) -> Erasure:
    everything = cast("Any", stores)
    return Erasure(
        everything,
        everything,
        Blobs(folder),
        everything,
        everything,
        stores.letters,
        lambda: ERASED_AT,
    )


def view(name: str) -> str:
    return json.dumps(
        {
            "name": name,
            "person": None,
            "state": {"kind": "query", "name": "records", "values": {}},
        }
    )


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(words=words_with_neighbours())
@example(words=("", "ZQ0104", "_作业"))
@example(words=("我和", "ZQ0104", "一起做的"))
@example(words=("昨天", "Quillon Zephyr", "打了我"))
@example(words=(",", "欧阳思齐", ",MATH8"))
@example(words=("和", "ＺＱ０１０４", "一起"))
@example(words=("", "Quillon\u200b Zephyr", ".csv"))
def test_nothing_that_names_the_person_is_left_unseen(words: tuple[str, str, str]) -> None:
    """Out: `is_written_in` of a raw row, of a value at fault or of a name without an id; the case; `as_searched`."""
    text = "".join(words)
    stores = Texts(
        redis={
            "jobs": [
                json.dumps([reject(f"1,{text},MATH8", "x"), reject("{}", text)], ensure_ascii=False)
            ],
            "results": [
                json.dumps(
                    {
                        "rejects": [
                            reject(
                                json.dumps({"type": "error_record", "data": {"student_name": text}})
                            )
                        ]
                    }
                )
            ],
            "views": [view(text), view("class 7")],
        },
        files=[f"{text}.csv", "class 7.csv"],
        written=[
            ("Interaction", "r1", f"{text}!"),
            ("CourseRecord", "r2", text),
            ("Interaction", "r3", "nobody"),
        ],
        letter=json.dumps(
            [
                [
                    {
                        "data": {
                            "rows": [
                                {
                                    "type": "error_record",
                                    "data": {"student_name": text, "error_text": "e"},
                                },
                                {"type": "error_record", "data": {"error_text": text}},
                                {
                                    "type": "course_record",
                                    "data": {"student_id_to": "S1", "student_name_from": text},
                                },
                            ]
                        }
                    }
                ]
            ]
        ).encode(),
    )
    with TemporaryDirectory() as folder:
        report = erasure_of(stores, folder).erase((STUDENT,))

    assert stores.files == [HIDDEN, "class 7.csv"]
    assert [each["record_id"] for each in report["mentions"]] == ["r1", "r2"]
    assert stores.redis["views"] == ["", view("class 7")]
    left = json.dumps(
        [json.loads(each) for store in ("jobs", "results") for each in stores.redis[store]],
        ensure_ascii=False,
    )
    left += json.dumps(json.loads(stores.letter), ensure_ascii=False)
    assert re.search(re.escape(plain(words[1])), plain(left), re.IGNORECASE) is None, left
    assert "not one" in left  # that there was a reject is kept


def rows_of_a_batch(text: str) -> list[dict[str, Any] | str]:
    """Return rows that cannot become records and hold a text: in each place of a name, an id or a value."""
    return [
        {"type": "error_record", "data": {"student_id": "S1", "score": text}},
        {"type": "error_record", "data": {"student_id": text}},
        {"type": "error_record", "data": {"student_name": text, "error_text": "e"}},
        {"type": "course_record", "data": {"student_id": "S1", text: 1}},
        {"type": "person_record", "data": {"person_id": text, "also": "x"}},
        {"type": "person_record", "data": {"person_id": "S1", "also": ["S2", text, 5]}},
        {"type": "person_record", "data": {"person_id": ["S1"], "name": text}},
        {"type": text},
        f'{{"type": "error_record", "data": {{"student_id": "{text}"',
        f"S1,{text},wrong",
        text,
    ]


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(words=words_with_neighbours(), waited=st.booleans())
@example(words=("", "ZQ0104", "_作业"), waited=True)
@example(words=("昨天", "Quillon Zephyr", "打了我"), waited=True)
def test_a_batch_that_waits_on_the_broker_meanwhile_keeps_nothing(
    words: tuple[str, str, str], waited: bool
) -> None:
    """No eraser reaches a message that waits, and a tombstone knows no name and no id within a text.

    Out: `has_waited` in `cleared`, or `accepted_at` in it, so that each later batch loses its values.
    """
    text = "".join(words)
    accepted = ERASED_AT.timestamp() + (-1 if waited else 61)
    rejects = []
    for row in rows_of_a_batch(text):
        raw = row if isinstance(row, str) else json.dumps(row)
        reject = Reject(
            line=len(rejects), field="x", expected="y", found=text[:80], reason="not one", raw=raw
        )
        rejects.append(reject)
    message = ImportBatch(job_id="j", batch=0, accepted_at=accepted, records=({},))
    stores = Texts()
    with TemporaryDirectory() as folder:
        erasure = erasure_of(stores, folder)
        erasure.erase((STUDENT,))
        kept = erasure.cleared(message, rejects)

    assert [each.line for each in kept] == [each.line for each in rejects]
    assert {each.reason for each in kept} == {"not one"}
    named_by_an_id = {line for line, each in enumerate(kept) if each.raw is None}
    if waited:
        assert named_by_an_id == set(range(len(kept)))
        assert {each.found for each in kept} == {""}
        assert stores.to_clean == {"j"}
    else:
        # Rows that come after the erasure are compared by their ids alone. The rows with an id are the second, the fifth
        # and the sixth one.
        assert named_by_an_id <= {1, 4, 5}


RIGHT_ROW = {
    "type": "course_content",
    "timestamp": "2026-01-01T00:00:00Z",
    "record_id": "c1",
    "data": {"course_id": "ALG", "content": "A half."},
}


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(words=words_with_neighbours(), live=st.booleans())
@example(words=("昨天", "Quillon Zephyr", "打了我"), live=True)
def test_a_dead_letter_of_a_batch_that_waited_keeps_no_wrong_row(
    words: tuple[str, str, str], live: bool
) -> None:
    """The letter is stored after the erasure, when only tombstones are left. Out: `letter_without_wrong_rows`."""
    text = "".join(words)
    wrong = [row for row in rows_of_a_batch(text) if isinstance(row, dict)]
    rows = [RIGHT_ROW, *wrong, RIGHT_ROW]
    accepted = ERASED_AT.timestamp() - 1
    message: dict[str, Any] = {"job_id": "j", "batch": 0, "records": rows, "accepted_at": accepted}
    if live:
        message = {"job_id": "j", "parts": [{"acceptance": 1, "records": rows}]}
        message["accepted_at"] = accepted
    job = {"job_id": "j", "records": rows, "accepted_at": accepted}
    chord = {"task": "aggregate", "args": [{"job": job, "batches": 1, "window_end": 1}]}
    stores = Texts(letter=json.dumps([[message], {}, {"chord": chord}]).encode())
    with TemporaryDirectory() as folder:
        erasure_of(stores, folder).clean(LETTERS_TO_CLEAN)

    left = json.loads(stores.letter)
    holder = left[0][0]["parts"][0] if live else left[0][0]
    only_right_rows = [RIGHT_ROW, *[{}] * len(wrong), RIGHT_ROW]
    assert holder["records"] == only_right_rows
    assert left[2]["chord"]["args"][0]["job"]["records"] == only_right_rows


@pytest.mark.parametrize(
    "message",
    [
        {"accepted_at": ERASED_AT.timestamp() + 61, "records": [{"type": "Quillon Zephyr"}]},
        {"accepted_at": 1, "kind": "error", "records": [{"type": "Quillon Zephyr"}]},
        {"accepted_at": 1, "records": [RIGHT_ROW, {}]},
        {"accepted_at": "x", "records": "x"},
    ],
    ids=["accepted after the erasure", "records to be read", "nothing wrong", "no message"],
)
def test_other_dead_letters_stay_as_they_are(message: dict[str, Any]) -> None:
    """Out: `accepted_at` or `is_analysis` in `_empty_wrong_rows`."""
    body = json.dumps([[message], {}, {}]).encode()
    assert letter_without_wrong_rows(body, ERASED_AT) == body


@pytest.mark.parametrize(("seconds_ahead", "waited"), [(0, True), (59, True), (61, False)])
def test_the_clocks_of_gateway_and_importer_may_differ_by_a_minute(
    seconds_ahead: int, waited: bool
) -> None:
    """The job was accepted before the erasure, by a gateway whose clock is ahead. Out: `CLOCK_MARGIN`."""
    assert has_waited(ERASED_AT.timestamp() + seconds_ahead, ERASED_AT) is waited
    assert has_waited(None, ERASED_AT)
    assert not has_waited(0, None)
