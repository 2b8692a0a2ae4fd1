"""Answers that say the right thing in another form are read as they were meant.

Hypothesis draws what a model means, and how it writes it. The expected result is computed from what was drawn. The
cases of test_answer_bounds.py are those whose exact bounds matter.
"""

import json
import random
from collections.abc import Callable
from email.utils import formatdate, mktime_tz, parsedate_tz
from typing import Any

import httpx2
import pytest
from any_answers import ANY, RECORDS, Bench
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edugraph_analyzer.costs import estimated_tokens
from edugraph_analyzer.findings.schema import parse_answers
from edugraph_analyzer.llm.batches import NotThere, ProviderBatches
from edugraph_analyzer.llm.refusals import retry_after
from edugraph_analyzer.llm.responses import Asked, response_of
from edugraph_common.contracts.errors import Failure, Retryable
from edugraph_common.contracts.findings import Kind

FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
BLANKS = ["", "", " ", "\t", "\u3000", "\u00a0"]
AROUND = ["{}", "{}", '"{}"', "'{}'", "“{}”", "[{}]", "{}.", "<{}>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz分数加法极限"
NOT_SHARES = [None, True, -1, 101, 7, "much", "NaN", float("nan"), [1], {}]
SURPLUS = [None, 1, "text", ["r1"], {"id": "r2"}, {"knowledge_points": []}]


class Writer:
    """Writes what a model means in one of the ways that models have. `chance` chooses."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def letters(self, text: str) -> str:
        """Return a text in another case or width, with blanks and marks around it."""
        if self.chance.random() < 0.5:
            text = text.upper()
        if self.chance.random() < 0.3:
            text = text.translate(FULL_WIDTH)
        text = self.chance.choice(AROUND).format(text)
        return self.chance.choice(BLANKS) + text + self.chance.choice(BLANKS)

    def share(self, percent: int) -> Any:
        share = percent / 100
        numbers = [share, percent, float(percent)]
        texts = [str(share), f"{percent}%", f"{percent} %", str(percent), f"{percent} percent"]
        texts.append(str(share).replace(".", ","))
        written = self.chance.choice([*numbers, *texts])
        if isinstance(written, str):
            if self.chance.random() < 0.3:
                written = written.translate(FULL_WIDTH)
            written = self.chance.choice(BLANKS) + written + self.chance.choice(BLANKS)
        return written

    def field(self, name: str) -> str:
        title = name.title().replace("_", "")
        forms = [name, name, name.upper(), title, title[0].lower() + title[1:]]
        forms += [name.replace("_", "-"), name.replace("_", " "), name.translate(FULL_WIDTH)]
        return self.chance.choice(forms)

    def fields(self, meant: dict[str, Any]) -> dict[str, Any]:
        """Return an object with its fields in any order, among fields that nobody asked for."""
        written = [(self.field(name), value) for name, value in meant.items()]
        for name in self.chance.sample(["reasoning", "note", "x1", "信心"], 2):
            written.append((name, self.chance.choice(SURPLUS)))
        self.chance.shuffle(written)
        return dict(written)

    def bad_entry(self) -> Any:
        """Return an entry that has not a name, a strength and a confidence that can be read."""
        good = {"name": "x", "strength": 0.5, "confidence": 0.5}
        damaged = good | {
            self.chance.choice(["strength", "confidence"]): self.chance.choice(NOT_SHARES)
        }
        without = {name: good[name] for name in self.chance.sample(sorted(good), 2)}
        return self.chance.choice(
            [None, True, 7, "x", [1], {}, damaged, without, good | {"name": 7}]
        )

    def points(self, meant: dict[str, int]) -> list[Any]:
        """Return entries of points with their percents, and bad entries between them."""
        entries = list[Any]()
        for name, percent in meant.items():
            for _ in range(self.chance.randrange(3)):
                entries.append(self.bad_entry())
            share = {"strength": self.share(percent), "confidence": self.share(percent)}
            entries.append(self.fields({"name": name} | share))
        return entries


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_what_a_model_means_is_read_whatever_its_letters_are(seed: int) -> None:
    """Out: `folded` in parse_answers, a branch of `_share`, `_known_fields`, or `_readable`."""
    chance = random.Random(seed)
    writer = Writer(chance)
    # id of an item -> {name of a point: percent}
    meant = dict[str, dict[str, int]]()
    entries = list[Any]()
    for number in range(1, chance.randint(2, 4) + 1):
        item_id = f"r{number}"
        points = dict[str, int]()
        for _ in range(chance.randint(1, 3)):
            points["".join(chance.choices(LETTERS, k=6))] = chance.randint(11, 100)
        meant[item_id] = points
        fields = {
            "id": chance.choice(
                [writer.letters(item_id), writer.letters(item_id), number, float(number)]
            ),
            "error_types": [],
            "knowledge_points": writer.points(points),
            "confidence": writer.share(chance.randint(11, 100)),
        }
        entries.append(writer.fields(fields))
    chance.shuffle(entries)

    text = json.dumps({"answers": entries})
    parsed = parse_answers("error", text, meant)
    assert not parsed.problems, text
    for item_id, points in meant.items():
        read: Any = parsed.valid[item_id]
        named = {point.name: point for point in read.knowledge_points}
        assert list(named) == list(points), text
        for name, percent in points.items():
            assert named[name].strength == pytest.approx(percent / 100)
            assert named[name].confidence == pytest.approx(percent / 100)


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a JSON value."""
    paths = [path]
    if isinstance(value, dict):
        for name, inner in value.items():
            paths += places_in(inner, (*path, name))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            paths += places_in(inner, (*path, index))
    return paths


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return a copy of a JSON value in which one place has a new value."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


def entry_of(kind: Kind, item_id: str) -> dict[str, Any]:
    link = {"name": "adding fractions", "strength": 0.8, "confidence": 0.7}
    point = {"name": "sums", "description": "d", "category": "c", "importance": "core"}
    need = {"point": "sums", "requires": "numbers", "confidence": 0.9}
    common = {"id": item_id, "evidence": ["I think"], "confidence": 0.9}
    fields: dict[Kind, dict[str, Any]] = {
        "interaction": {"sentiment": "neutral", "topics": ["sums"]},
        "error": {
            "error_types": [{"name": "sign error", "confidence": 0.9}],
            "knowledge_points": [link],
            "severity": "low",
        },
        "knowledge_points": {"knowledge_points": [point], "prerequisites": [need]},
    }
    return common | fields[kind]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(RECORDS)), ANY)
def test_any_value_at_any_place_of_an_answer_costs_no_more_than_that_answer(
    data: st.DataObject, kind: Kind, value: Any
) -> None:
    """Out: the `except ValidationError` of `as_answer`."""
    entry = entry_of(kind, "r2")
    path = data.draw(st.sampled_from(places_in(entry)))
    answers = [entry_of(kind, "r1"), changed(entry, path, value), entry_of(kind, "r3")]
    parsed = parse_answers(kind, json.dumps({"answers": answers}), ["r1", "r2", "r3"])
    # The changed answer may name another item as its own. Then that item was answered twice.
    taken = ""
    if isinstance(answers[1], dict):
        taken = str(answers[1].get("id", "")).casefold()
    for item_id in ("r1", "r3"):
        assert item_id in parsed.valid or item_id.removeprefix("r") in taken or item_id in taken
    assert parsed.valid.keys() | parsed.problems.keys() == {"r1", "r2", "r3"}


WHOLE = {
    "id": "x",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "", "tool_calls": [], "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 700,
        "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 5},
    },
}


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(RECORDS)), ANY)
def test_any_value_at_any_place_of_a_completion_is_an_answer_or_a_failure_of_the_breaker(
    data: st.DataObject, kind: Kind, value: Any
) -> None:
    """Out: `isinstance` in `_object`, `_list` or `_believed`, or the pause in `_failed`."""
    whole = json.loads(json.dumps(WHOLE))
    message = whole["choices"][0]["message"]
    message["content"] = json.dumps({"answers": [entry_of(kind, "r1")]})
    path = data.draw(st.sampled_from(places_in(whole)))
    text = json.dumps(changed(whole, path, value))
    bench = Bench(httpx2.Response(200, text=text))
    findings = list[Any]()
    failed: Failure | None = None
    try:
        findings = bench.ask(kind)
    except Failure as failure:
        failed = failure
    assert bench.gate.paused or not isinstance(failed, Retryable)
    assert bench.ledger.usages or failed is not None
    # A place that says neither what was found nor that it failed costs nothing.
    if path and path[0] in ("id", "usage"):
        assert len(findings) == 1
        assert bench.requests == 1


TOLD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["700", float("nan"), float("inf"), -1, 0, 10**400, 1e300, [700], {"n": 700}]),
)
MISSING = object()


@settings(max_examples=60, deadline=None)
@given(TOLD | st.just(MISSING) | st.just(700), TOLD | st.just(MISSING) | st.just(30), TOLD)
@example(MISSING, MISSING, None)
def test_tokens_that_cannot_be_true_are_estimated_and_marked(
    prompt: Any, completion_tokens: Any, cached: Any
) -> None:
    """Out: a condition of `_believed`, or `is_estimated`."""
    estimate_in = 600
    answer = "a" * 98
    estimate_out = estimated_tokens(answer)
    usage: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": cached}}
    if prompt is not MISSING:
        usage["prompt_tokens"] = prompt
    if completion_tokens is not MISSING:
        usage["completion_tokens"] = completion_tokens
    body = {"choices": [{"message": {"content": answer}}], "usage": usage}
    response = response_of(json.loads(json.dumps(body)), Asked(estimate_in))

    def can_be_true(told: Any, estimate: int) -> bool:
        is_number = type(told) in (int, float)
        return is_number and 0.1 * estimate <= told <= 100_000_000

    if can_be_true(prompt, estimate_in):
        assert response.input_tokens == int(prompt)
    else:
        assert response.input_tokens == estimate_in
    if can_be_true(completion_tokens, estimate_out):
        assert response.output_tokens == int(completion_tokens)
    else:
        assert response.output_tokens == estimate_out
    all_true = can_be_true(prompt, estimate_in) and can_be_true(completion_tokens, estimate_out)
    assert response.estimated is not all_true
    assert 0 <= response.cached_tokens <= response.input_tokens
    if isinstance(cached, bool):
        assert response.cached_tokens == 0


def batches_that_answer(text: str, status: int) -> ProviderBatches:
    client = Bench(httpx2.Response(status, text=text)).client
    return client.batches(client.accesses("interaction")[0])


FIELDS_OF_BATCHES = ["data", "created_at", "filename", "metadata", "status", "output_file_id"]


@settings(max_examples=60, deadline=None)
@given(
    ANY | st.dictionaries(st.sampled_from(["id", "has_more", *FIELDS_OF_BATCHES]), ANY, max_size=6),
    st.sampled_from([200, 200, 200, 301, 400, 404, 429, 500]),
)
@example({"id": None}, 200)
@example({"data": [{"created_at": None}]}, 200)
@example({"status": {}, "output_file_id": 7}, 200)
def test_any_answer_about_a_batch_is_read_or_is_a_failure(value: Any, status: int) -> None:
    """Out: TypeError, AttributeError or LookupError in `_verdicts`, or the check of `_id_of`."""
    text = json.dumps(value)
    asks: list[tuple[Callable[[ProviderBatches], Any], Any]] = [
        (lambda batches: batches.upload("b", b"{}", 60), str),
        (lambda batches: batches.uploads("b", 0.0), list),
        (lambda batches: batches.create("f", "b", 60), str),
        (lambda batches: batches.find("b", 0.0), str | None),
        (lambda batches: batches.look("b").files, tuple),
        (lambda batches: batches.answers("f", {"r": 9}), dict),
    ]
    for ask, form in asks:
        try:
            answered = ask(batches_that_answer(text, status))
        except (Failure, NotThere):
            continue
        assert isinstance(answered, form)


def test_a_list_of_batches_without_end_is_read_to_a_bound() -> None:
    """Out: `islice` in `find` and `uploads`."""
    entries = [{"id": f"b{number}", "created_at": 9, "filename": "x"} for number in range(100)]
    endless = json.dumps({"data": entries, "has_more": True})
    assert batches_that_answer(endless, 200).find("b", 0.0) is None
    assert batches_that_answer(endless, 200).uploads("b", 0.0) == []


NOW = 1_800_000_000


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.integers(-(10**6), 10**12).map(str),
        st.floats().map(str),
        st.text(max_size=12),
        st.sampled_from(["", "nan", "inf", "1e9", "-0", "0", "１２", "3;4", "9" * 400]),
        st.integers(-(10**5), 10**5).map(lambda ahead: formatdate(NOW + ahead, usegmt=True)),
    )
)
def test_a_pause_that_a_header_names_is_a_number_from_nothing_to_an_hour(header: str) -> None:
    """Out: `min` or `max` in retry_after."""
    for name in ("retry-after", "retry-after-ms"):
        seconds = retry_after({name: header}, NOW)
        assert seconds is None or 0 <= seconds <= 3_600
    if header.isascii() and header.isdigit():
        assert retry_after({"retry-after": header}, NOW) == min(int(header), 3_600)
    if header.endswith(" GMT"):
        ahead = mktime_tz(parsedate_tz(header) or (0,) * 10) - NOW
        assert retry_after({"retry-after": header}, NOW) == min(max(ahead, 0), 3_600)
