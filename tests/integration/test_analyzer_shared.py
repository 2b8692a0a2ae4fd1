"""The pipeline on a scripted provider: budgets, failures, what stays private, and what is told beside a run."""

import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from analyzer_bench import Provider, chats, keys, pipeline
from engines import SHARED_RECORDS, SLOW

from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.costs import set_budget
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.estimate import estimate
from edugraph_analyzer.probe import check
from edugraph_analyzer.prompting.questions import messages_of, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Rejected, Retryable, Wait
from edugraph_common.contracts.findings import KIND_OF_TYPE, Kind
from edugraph_common.contracts.messages import Analysis

# --- budgets, failures, privacy -----------------------------------------------------------------------------------


def test_a_spent_budget_pauses_the_job_until_it_is_raised(server, provider, name) -> None:
    provider.script()
    one = pipeline(server, provider, name, budget_per_job=0.0)
    with pytest.raises(Wait, match="budget"):
        one.analyse(chats(name, 1))
    assert provider.requests() == []
    set_budget(server, name, 5.0)
    assert len(one.analyse(chats(name, 1)).findings) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "malformed",
        "truncated",
        "prose",
        "wrong_ids",
        "missing_item",
        "doubled_item",
        "outside_schema",
    ],
)
def test_a_pack_answered_wrongly_ends_with_every_finding(server, provider, name, kind) -> None:
    provider.script(faults=[{"kind": kind, "first": 1}])
    result = pipeline(server, provider, name).analyse(chats(name, 5))
    assert len(result.findings) == 5
    assert not result.failed


@pytest.mark.parametrize("kind", ["prose", "outside_schema"])
def test_answers_that_never_validate_are_reported_and_not_stored(
    server, provider, name, kind
) -> None:
    provider.script(faults=[{"kind": kind, "every": 1}])
    others = keys(server, "lease")
    result = pipeline(server, provider, name).analyse(chats(name, 2))
    assert not result.findings
    assert [each.record_id for each in result.failed] == ["r0", "r1"]
    assert all("could not be used 3 times in a row" in each.reason for each in result.failed)
    assert len(provider.requests()) == 3  # the pack, then the first alone with one repair turn
    provider.script()
    time.sleep(0.1)
    for key in (keys(server, "lease") - others) | set(
        server.scan_iter(f"edugraph:limit:*:{name}:*", count=1_000)
    ):
        server.delete(key)
    assert len(pipeline(server, provider, name).analyse(chats(name, 2)).findings) == 2


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ({"keys": ["other"]}, (Rejected, "EDUGRAPH_OPENAI_API_KEY")),
        ({"models": ["other"]}, (Rejected, "EDUGRAPH_MODEL")),
        ({"faults": [{"kind": "500"}]}, (Retryable, "500")),
        ({"faults": [{"kind": "cut"}]}, (Retryable, "cut")),
        ({"faults": [{"kind": "not_json"}]}, (Retryable, "read")),
        ({"faults": [{"kind": "timeout"}]}, (Retryable, "in time")),
        ({"faults": [{"kind": "429", "retry_after": 7}]}, (Wait, "429")),
    ],
)
def test_each_failure_is_one_request_and_one_sentence(
    server, provider, name, script, failure
) -> None:
    provider.script(**script)
    with pytest.raises(failure[0], match=failure[1]):
        pipeline(server, provider, name, call_timeout_seconds=1).analyse(chats(name, 1))
    assert len(provider.requests()) == 1


def test_what_was_paid_before_a_failure_is_not_paid_again(server, provider, name) -> None:
    provider.script(faults=[{"kind": "500", "every": 100, "at": 2}])
    one = pipeline(server, provider, name)
    with pytest.raises(Retryable):
        one.analyse(chats(name, 30))
    assert len(one.analyse(chats(name, 30)).findings) == 30
    assert [request["items"] for request in provider.requests()] == [10, 10, 10, 10]
    assert provider.requests()[1]["status"] == 500


def test_a_server_without_schemas_is_found_out_once(server, provider, name) -> None:
    provider.script(accepts=["json_object", "prompt"])
    pipeline(server, provider, name).analyse(chats(name, 10))
    pipeline(server, provider, name).analyse(chats(name, 10, prefix="more "))
    assert [request["step"] for request in provider.requests()] == [
        "json_schema",
        "json_object",
        "json_object",
    ]


def hard_cases() -> list[dict[str, Any]]:
    path = Path(__file__).parents[2] / "services" / "analyzer" / "tests" / "redaction_cases.ndjson"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _record_of(number: int, case: dict[str, Any]) -> dict[str, Any]:
    """A chat between students; where a teacher is named, a teacher's record."""
    taught = any(role == "TEACHER" for role, _, _ in case["people"])
    ends = ("",) if taught else ("_from", "_to")
    data: dict[str, Any] = {"text": case["text"]}
    for role in ("STUDENT", "TEACHER"):
        for what in ("name", "id"):
            values = [
                value for of, value, is_what in case["people"] if (of, is_what) == (role, what)
            ]
            own_ends = ends if role == "STUDENT" else ("",)
            data |= {
                f"{role.lower()}_{what}{end}": value
                for end, value in zip(own_ends, values, strict=False)
            }
    if taught:
        filled, record_type = (
            {"teacher_id": "tutor-zz", "student_id": "pupil-zz"},
            "teacher_interaction",
        )
    else:
        filled, record_type = (
            {"student_id_from": "pupil-zz", "student_id_to": "tutor-zz"},
            "student_interaction",
        )
        data["interaction_type"] = "chat"
    when = "2026-01-05T08:00:00Z"
    return {
        "type": record_type,
        "timestamp": when,
        "record_id": f"h{number}",
        "data": filled | data,
    }


def test_no_private_word_reaches_the_provider_and_evidence_has_the_original_words(
    server, provider, name
) -> None:
    provider.script()
    one, seen, quoted = pipeline(server, provider, name), 0, 0
    for number, case in enumerate(hard_cases()):
        request = Analysis(
            job_id=name, pack="p", kind="interaction", records=(_record_of(number, case),)
        )
        (finding,) = one.analyse(request).findings
        requests = provider.requests()
        told = "\n".join(
            message["content"]
            for each in requests[seen:]
            for message in json.loads(each["body"])["messages"]
        )
        seen = len(requests)
        assert not [words for words in (*case["private"], "pupil-zz", "tutor-zz") if words in told]
        assert all(quote in case["text"] for quote in finding.finding.evidence)
        quoted += bool(finding.finding.evidence)
    assert seen > 80  # some redacted texts are the same
    assert quoted > 95


PRIVATE_FORMS = {
    "e-mail": re.compile(r"[\w.+-]+@[\w-]+\.\w+"),
    "phone": re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)"),
    "id number": re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"),
}
# The random characters of a mark may be as many digits as a phone number has.
_MARK = re.compile(r"</?(?:item|course)-[0-9a-f]{16}(?=[ >])")
OWN_TEXT = ("text", "error_text", "content")
PLANTED = {"student_name": "欧阳晓彤", "student_name_from": "欧阳晓彤"}
SENTENCE = "学号 {own}，xiaotong.ouyang@example.com，13812345678，11010519491231002X。"


def _with_private_words(record: dict[str, Any]) -> dict[str, Any]:
    """The shared records name nobody: this one gets a name where it has a student, and says what students do say."""
    data = record["data"]
    own = str(data.get("student_id") or data.get("student_id_from") or "20230714")
    field = next(name for name in OWN_TEXT if name in data)
    names = {name: value for name, value in PLANTED.items() if name.replace("name", "id") in data}
    said = "".join(f"我是{value}，" for value in names.values()) + SENTENCE.format(own=own)
    return {**record, "data": {**data, **names, field: f"{data[field]}\n{said}"}}


def _packs_of_records() -> Iterator[tuple[Kind, list[dict[str, Any]]]]:
    for path in sorted(SHARED_RECORDS.glob("*.ndjson")):
        by_kind: dict[Kind, list[dict[str, Any]]] = defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["type"] in KIND_OF_TYPE:
                by_kind[KIND_OF_TYPE[record["type"]]].append(record)
        for kind, records in by_kind.items():
            yield from (
                (kind, records[start : start + 100]) for start in range(0, len(records), 100)
            )


def _told(provider: Provider) -> str:
    """What the provider read, without the marks that the analyzer puts around each text."""
    bodies = (json.loads(each["body"]) for each in provider.requests())
    return _without_marks(message["content"] for body in bodies for message in body["messages"])


def _without_marks(contents: Iterable[str]) -> str:
    return _MARK.sub("<", "\n".join(contents))


def _private_words_in(told: str, records: list[dict[str, Any]]) -> list[str]:
    """What of these records' people, and what that looks private by its form, is in a text."""
    named = {
        str(v)
        for r in records
        for k, v in r["data"].items()
        if k.startswith(("student_", "teacher_")) and v
    }
    known = [word for word in {*named, "欧阳", "晓彤"} if word in told]
    return known + [found[0] for form in PRIVATE_FORMS.values() if (found := form.search(told))]


def test_the_marks_around_a_text_are_not_taken_for_private_words() -> None:
    """Out: `_MARK`. What the text itself says is found."""
    (record,) = chats("marks", 1).records
    settings = AnalyzerSettings(openai_api_key="k", model="m")
    question = question_of(read_document(record, "interaction", ()), settings)
    told = _without_marks(
        each["content"]
        for each in messages_of("interaction", [question], lambda: "f13812345678a40b")
    )
    assert "common denominator" in told
    assert _private_words_in(told, []) == []
    assert _private_words_in(f"{told}13812345678", []) == ["13812345678"]


@pytest.mark.real
# The redaction does not depend on the server that keeps answers.
@pytest.mark.parametrize("redis_url", ["redis"], indirect=True)
@pytest.mark.skipif(
    not SHARED_RECORDS.is_dir(), reason=f"no records at {SHARED_RECORDS} (EDUGRAPH_SHARED_DATA)"
)
def test_nothing_private_of_any_shared_record_reaches_the_provider(server, provider, name) -> None:
    """A quarter of them, another one each time; all by `make erasure-tests`."""
    one = pipeline(
        server, provider, name, pack_size=100, pack_tokens=200_000, requests_per_minute=1_000_000
    )
    read, every = 0, 1 if SLOW else 4
    packs = list(_packs_of_records())[random.randrange(every) :: every]
    for kind, records in packs:
        sent = [*records[::2], *map(_with_private_words, records[1::2])]
        provider.script()
        result = one.analyse(Analysis(job_id=name, pack="p", kind=kind, records=tuple(sent)))
        assert not _private_words_in(_told(provider), sent)
        read += len(result.findings)
    assert read > 10_000 // every


# --- what is told before and beside a run -------------------------------------------------------------------------


def test_the_check_of_a_provider_tells_what_it_accepts(server, provider, name) -> None:
    provider.script(
        accepts=["json_object", "prompt"], headers={"x-ratelimit-limit-requests": "100"}
    )
    settings = AnalyzerSettings(openai_api_key=name, openai_base_url=provider.url, model=name)
    facts = {fact.name: fact for fact in check(settings, server)}
    assert facts["structured answers"].value == "json_object"
    assert facts["a pack of 2"].good
    assert "x-ratelimit-limit-requests" in facts["limits it tells"].value
    provider.script(keys=["other"])
    assert any("EDUGRAPH_OPENAI_API_KEY" in fact.value for fact in check(settings, server))


def test_an_estimate_counts_what_is_still_to_be_asked(server, provider, name) -> None:
    provider.script()
    prices = {name: {"input": 1.0, "output": 2.0, "batch": 0.25}}
    settings = AnalyzerSettings(
        openai_api_key=name,
        openai_base_url=provider.url,
        model=name,
        prices=prices,
        one_student_per_pack=False,
    )
    before = estimate([chats(name, 40, texts=25)], settings)
    assert (before.items, before.different, before.requests) == (40, 25, 3)
    assert before.cost is not None
    assert before.cost == pytest.approx(
        (before.input_tokens + 2 * before.output_tokens) / 1_000_000
    )
    assert before.minutes == pytest.approx(0.03, abs=0.002)
    cheap = estimate([chats(name, 40, texts=25).model_copy(update={"economy": True})], settings)
    assert cheap.cost == pytest.approx(before.cost / 4)
    assert (cheap.minutes, cheap.economy) == (25 * 60, True)
    pipeline(server, provider, name, temperature=settings.temperature).analyse(
        chats(name, 10, texts=25)
    )
    after = estimate(
        [chats(name, 40, texts=25)],
        settings,
        AnswerStore(server, ttl_seconds=60, lease_ttl_seconds=5).kept,
    )
    assert (after.kept, after.requests) == (10, 2)
