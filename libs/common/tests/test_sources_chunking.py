"""Whatever the blocks and the layout: each row comes once with its own line, and damage costs one row."""

import json
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Rejected
from edugraph_common.sources import RawRow, parse_mapping
from edugraph_common.sources.chunking import (
    KEPT_OF_A_LONG_ROW,
    MAX_CHUNK_BYTES,
    RowChunk,
    RowForm,
    chunked,
    row_chunks,
    rows_of,
)
from edugraph_common.sources.csv_source import CsvRows, CsvSource, read_header
from edugraph_common.sources.frames import pack_fewer_rows, pack_rows, unpack_rows
from edugraph_common.sources.json_source import JsonSource, Lines, ValueEnds, Values, layout_of
from edugraph_common.sources.ndjson import MAX_ROW_BYTES, MalformedFile
from edugraph_common.sources.rows import NotRelevant, cut_rows
from edugraph_common.sources.students import People

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=8)


def blocks_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def rows_of_values(blocks: list[bytes]) -> list[RawRow]:
    return list(rows_of(Values().chunks(blocks, 2)))


@given(st.text('",\n\r a中', max_size=60).map(str.encode), st.integers(1, 9))
def test_rows_of_csv_are_the_same_whatever_the_blocks(data: bytes, size: int) -> None:
    if not data.strip():
        return
    form = RowForm(CsvRows(",").end, lambda text: b'"' not in text)
    whole = list(rows_of(row_chunks([data], 1_000, form)))
    for rows_per_chunk in (1, 2, 1_000):
        assert list(rows_of(row_chunks(blocks_of(data, size), rows_per_chunk, form))) == whole
    assert b"\n".join(row.raw for row in whole).split() == data.split()
    lines = data.split(b"\n")
    for row in whole:
        assert lines[row.line - 1].startswith(row.raw.split(b"\n")[0])


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"])), min_size=1
    ),
    st.lists(st.sampled_from([b"", b"  ", b"\r", b"\t\x0b"]), max_size=4),
    st.integers(1, 9),
    st.booleans(),
)
def test_each_line_is_read_once_with_its_number(
    texts: list[str], blank: list[bytes], size: int, ended: bool
) -> None:
    lines = [json.dumps(text).encode() for text in texts]
    between = b"".join(line + b"\n" for line in blank)
    data = (b"\n" + between).join(lines) + (b"\n" if ended else b"")
    found = [(row.line, row.raw) for row in rows_of(Lines().chunks(blocks_of(data, size), 2))]
    assert found == [(1 + place * (1 + len(blank)), line) for place, line in enumerate(lines)]


@given(
    st.lists(st.dictionaries(TEXT, st.lists(TEXT, max_size=2), max_size=3), min_size=1, max_size=6),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.integers(1, 9),
)
def test_each_value_of_an_array_or_of_a_sequence_is_read_once(
    values: list[dict[str, list[str]]], indent: int | None, as_array: bool, size: int
) -> None:
    one = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    text = f"[\n{','.join(one)}\n]\n" if as_array else "\n".join(one)
    found = [
        (row.line, json.loads(row.raw)) for row in rows_of_values(blocks_of(text.encode(), size))
    ]
    assert [value for _, value in found] == values
    for line, _ in found:
        assert "{" in text.split("\n")[line - 1]


def test_a_broken_value_is_set_aside_alone() -> None:
    rows = list(rows_of_values([b'[{"a": 1},\n{"a" 2},\nnull,\n{"a": 3}]']))
    assert rows == [
        (1, b'{"a": 1}', False),
        (2, b'{"a" 2}', False),
        (3, b"null", False),
        (4, b'{"a": 3}', False),
    ]


# What makes one value of an array broken, without a trace of where it ends.
DAMAGES: dict[str, Callable[[str], str]] = {
    "a brace is missing at the end": lambda text: text[:-1],
    "a brace is missing within": lambda text: text.replace("}}", "}", 1),
    "a quote is open": lambda text: text.replace('"x', "x", 1),
    "a colon is missing": lambda text: text.replace(":", "", 1),
    "a bracket is missing": lambda text: text.replace("]", "", 1),
    "a brace too many": lambda text: text + "}",
    "a damaged character": lambda text: text.replace("x", "\udcff", 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("between", [",", ",\n", ", \n  "])
@pytest.mark.parametrize("place", [0, 3, 7])
@pytest.mark.parametrize("size", [7, 1 << 20])
def test_damage_within_an_array_costs_one_value(
    damage: str, between: str, place: int, size: int
) -> None:
    """Out: `next_value` in `_begin_of_next`, or the look for a brace in `_ended_early`."""
    values = [json.dumps({"id": n, "b": {"c": {"d": ["x", n]}}, "e": "}{"}) for n in range(8)]
    broken = DAMAGES[damage](values[place])
    assert broken != values[place]
    text = f"[{between.join([*values[:place], broken, *values[place + 1 :]])}]"
    rows = list(rows_of_values(blocks_of(text.encode(errors="surrogateescape"), size)))
    good = []
    for row in rows:
        try:
            good.append((row.line, json.loads(row.raw.decode())["id"]))
        except ValueError:
            continue
    lines_each = between.count("\n")
    assert good == [(1 + n * lines_each, n) for n in range(8) if n != place]
    assert len(rows) <= 9  # A value that a bracket too few or too many has cut may be two rows.


@pytest.mark.parametrize("size", [1_000, 1 << 20])
def test_a_value_that_is_too_long_costs_one_value(size: int) -> None:
    values = [json.dumps({"id": n, "text": "x" * (3_000_000 if n == 2 else 10)}) for n in range(5)]
    for broken in (values[2], values[2][:-1]):
        text = ",\n".join([*values[:2], broken, *values[3:]])
        rows = list(rows_of_values(blocks_of(f"[{text}]".encode(), size)))
        assert [(row.line, row.is_cut) for row in rows] == [(n + 1, n == 2) for n in range(5)]
        assert len(rows[2].raw) == KEPT_OF_A_LONG_ROW


def test_an_array_that_is_cut_off_is_told() -> None:
    with pytest.raises(MalformedFile, match="cut off"):
        list(rows_of_values([b'[{"a": "b']))


def test_a_chunk_of_long_rows_has_fewer_of_them() -> None:
    row = RawRow(1, b"x" * 999_999)
    chunks = list(chunked([row] * 30, 1_000))
    assert max(chunk.size_bytes for chunk in chunks) <= MAX_CHUNK_BYTES + len(row.raw)
    assert sum(map(len, chunks)) == 30
    assert all(list(unpack_rows(pack_rows(chunk))) == list(chunk) for chunk in chunks)


@pytest.mark.parametrize("size", [100_000, 1 << 20])
def test_a_row_that_is_too_long_is_cut_before_it_is_held_and_costs_no_other(size: int) -> None:
    """Out: the branch of `_Cutter` that gives up a row whose end has not come."""
    long = b"x" * (20 * MAX_ROW_BYTES)
    data = (
        b"a\n"
        + long
        + b"\nb\n"
        + b"y" * MAX_ROW_BYTES
        + b"\n"
        + b"y" * (MAX_ROW_BYTES + 1)
        + b"\nc"
    )
    peak = 0
    rows = []
    for row in rows_of(row_chunks(blocks_of(data, size), 2)):
        rows.append(row)
        peak = max(peak, len(row.raw))
    assert [(row.line, len(row.raw), row.is_cut) for row in rows] == [
        (1, 1, False),
        (2, KEPT_OF_A_LONG_ROW, True),
        (3, 1, False),
        (4, MAX_ROW_BYTES, False),
        (5, KEPT_OF_A_LONG_ROW, True),
        (6, 1, False),
    ]
    assert peak == MAX_ROW_BYTES


@given(
    st.lists(
        st.tuples(st.integers(1, 1 << 40), st.binary(max_size=20), st.booleans()).map(
            lambda row: RawRow(*row)
        ),
        max_size=9,
    ),
    st.sets(st.integers(0, 8)),
)
def test_rows_come_out_of_a_frame_as_they_went_in(rows: list[RawRow], gone: set[int]) -> None:
    frame = pack_rows(RowChunk(rows))
    assert list(unpack_rows(frame)) == rows
    left = [row for place, row in enumerate(rows) if place not in gone]
    fewer = pack_fewer_rows(RowChunk(left), len(frame))
    assert list(unpack_rows(fewer)) == left
    assert len(fewer) >= len(frame)


@pytest.mark.parametrize("size", [0, 1, 20, -1])
def test_a_damaged_frame_is_told(size: int) -> None:
    frame = pack_rows(RowChunk([RawRow(1, b"x" * 100)]))
    with pytest.raises(Rejected, match="damaged"):
        unpack_rows(frame[:size])


def test_line_ends_take_no_time() -> None:
    """Out: `_blank_lines_end`; each blank line is then a turn of the loop."""
    began = time.process_time()
    [row] = rows_of(row_chunks([b"\n" * (1 << 20)] * 256 + [b"1"], 2))
    assert row == (1 + (256 << 20), b"1", False)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("head", "layout"),
    [
        (b'{"a": 1}\n{"a": 2}\n', "lines"),
        (b'{\n "a": 1\n}', "values"),
        (b'\xef\xbb\xbf [{"a": 1}]', "values"),
        (b'{"a": broken\n{"a": 2}\n', "lines"),
        (b'2023-05-23 INFO [tracking] - {"name": "x"}\n', "lines"),
    ],
)
def test_the_layout_is_told_by_the_first_value(head: bytes, layout: str) -> None:
    assert layout_of(head) == layout


def nothing_of_it(_: object) -> NotRelevant:
    return NotRelevant("odd")


odd_text = st.lists(
    st.sampled_from(
        [
            *'ab,;"{}[]: \t',
            '"more":',
            '"statements":',
            "\r",
            "\n",
            "\r\n",
            "\ufeff",
            "\u3000",
            "\xa0",
            "\x1c",
            "\x0c",
        ]
    )
).map("".join)


@given(text=odd_text)
@example(text="{},\ufeff")  # a byte order mark behind a comma is no value
@pytest.mark.parametrize(
    "source",
    [
        CsvSource(read_header(b"a,b\n", ","), parse_mapping("{columns: {a: type, b: timestamp}}")),
        JsonSource(
            Lines(json_ends=False),
            read_value=nothing_of_it,
            people_in=lambda _: People(frozenset()),
        ),
        JsonSource(Values(), read_value=nothing_of_it, people_in=lambda _: People(frozenset())),
        JsonSource(
            Values(in_answers=True),
            read_value=nothing_of_it,
            people_in=lambda _: People(frozenset()),
        ),
    ],
    ids=["csv", "lines", "values", "answers"],
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_odd_rows_are_the_same_whatever_the_blocks(
    source: CsvSource | JsonSource, text: str, size: int
) -> None:
    body = (("a,b\n" if isinstance(source, CsvSource) else "") + f"x\n{text}").encode()
    found = []
    for blocks in ([body], blocks_of(body, size)):
        try:
            found.append(list(cut_rows(source, blocks)))
        except MalformedFile as problem:
            found.append(str(problem))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "broken",
    [
        # Objects within a broken one begin with another key than the next value does.
        '{"id": 1, "items": [{"x": 1}, {"x": 2}, {"x": 3}, "b": }',
        # An object within a broken one begins with the same key, and no value follows it.
        '{"id": 1, "items": [5, {"id": 9} "b", "c": }',
    ],
)
def test_a_broken_value_ends_before_the_next_value_and_not_within_itself(broken: str) -> None:
    """Out: the comparison of the first key, or of what follows, in `next_value`."""
    text = f'{broken}, {{"id": 3}}]'
    assert text[ValueEnds().end(text, 0, is_final=True) :] == '{"id": 3}]'


WHOLE = [
    json.dumps({"id": n, "b": {"c": [{"x": 1}, {"x": 2}, {"x": 3}]}, "e": "}{"}) for n in range(9)
]


@pytest.mark.parametrize(
    "damaged",
    [
        # The first key is damaged, so no other value has it.
        {3: WHOLE[3].replace('"id"', '"id', 1)},
        {3: WHOLE[3].replace('"id"', '"ix"', 1)[:-1]},
        # The value after the next one does not begin with a brace.
        {3: WHOLE[3][:-1], 5: "no JSON"},
        # The brace that one value lacks is too many in a later one.
        {2: WHOLE[2][:-1], 6: WHOLE[6] + "}"},
        # A brace too many in the middle leaves a valid object that lacks a member.
        {3: WHOLE[3].replace(']}, "e"', ']}}, "e"')},
        # The value before the broken one is valid JSON of another form.
        {3: '{"a": {}}', 4: WHOLE[4].replace('"id"', '"ix"', 1)[:-1], 6: "17"},
        {3: "{}", 4: WHOLE[4].replace('"id"', '"ix"', 1)[:-1], 6: "17"},
        # Only the first brace is missing. The value before is whole.
        {3: WHOLE[3][1:]},
    ],
)
@pytest.mark.parametrize("between", [",", ",\n", "\n"])
@pytest.mark.parametrize("size", [1, 50, 1 << 20])
def test_the_values_around_broken_ones_are_found_by_their_keys(
    damaged: dict[int, str], between: str, size: int
) -> None:
    """Out: `_is_usual` in `next_value` or in `_next_usual`, `_ended_early`, or `_vote`."""
    values = [damaged.get(number, value) for number, value in enumerate(WHOLE)]
    text = f"[{between.join(values)}]"
    found = []
    for row in rows_of_values(blocks_of(text.encode(), size)):
        with suppress(ValueError):
            value = json.loads(row.raw.decode())
            if isinstance(value, dict) and "id" in value:
                found.append((row.line, value["id"]))
    assert found == [
        (1 + number * between.count("\n"), number) for number in range(9) if number not in damaged
    ]


def test_a_first_value_whose_first_key_is_damaged_costs_itself() -> None:
    """Out: the colon in `_FIRST_KEY`. No value has come before it, so no usual keys are known."""
    values = [json.dumps({"id": number, "b": {"c": 1}}) for number in range(4)]
    values[0] = values[0].replace('"id"', '"id', 1)
    rows = rows_of_values([f"[{','.join(values)}]".encode()])
    assert [row.raw.decode() for row in rows] == values


@pytest.mark.parametrize("inner", [b',{"a":[0', b',{"a":0'])
def test_the_search_for_the_next_value_gives_up(inner: bytes) -> None:
    """Out: the end of the search in `_whole_values`: it would take a minute."""
    text = b'[{"a":1},{"b":1 ' + inner * 130_000
    began = time.process_time()
    with pytest.raises(MalformedFile):
        list(rows_of_values([text]))
    assert time.process_time() - began < 10


def test_objects_within_a_value_that_is_too_long_are_not_rows() -> None:
    """Out: the first key that is kept of such a value."""
    text = ('[{"id": 1, "items": [' + '{"x": 1}, ' * 200_000 + '{"x": 1}]}, {"id": 2}]').encode()
    blocks = [text[start : start + 100_000] for start in range(0, len(text), 100_000)]
    rows = [row for chunk in Values().chunks(blocks, 10) for row in chunk]
    assert [(row.is_cut, row.raw[:8]) for row in rows] == [
        (True, b'{"id": 1'),
        (False, b'{"id": 2'),
    ]
