"""Curricula of other systems become point_records, and a wrong part takes no neighbour with it."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.contracts.records import Record
from edugraph_common.sources import NotRelevant, curriculum_openstax, open_text
from edugraph_common.sources.curriculum import UNDATED, decoded_file, whole_file
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import cut_rows, read_rows

LONG = "Explain why a fraction is equal to another. " * 120  # about 5,000 characters


def read(text: str | bytes, form: Format) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    plan, blocks = open_text(io.BytesIO(data), form, None)
    source = plan.source
    return [content for _, content in read_rows(source, cut_rows(source, blocks))]


def points(found: list[Any]) -> dict[str, dict[str, Any]]:
    """The data of each point by its id."""
    records = [each.to_json()["data"] for each in found if isinstance(each, Record)]
    return {data["point_id"]: data for data in records}


def rejects(found: list[Any]) -> list[tuple[str | None, int, str, str]]:
    """Part, row, field and reason."""
    return [
        (each.sheet, each.line, each.field, each.reason)
        for each in found
        if isinstance(each, Reject)
    ]


def left_out(found: list[Any]) -> list[str]:
    return [each.name for each in found if isinstance(each, NotRelevant)]


def item(identifier: str, statement: str = "Count.", **more: Any) -> dict[str, Any]:
    return {"identifier": identifier, "fullStatement": statement, **more}


def link(kind: str, origin: str, destination: str) -> dict[str, Any]:
    return {
        "identifier": f"{kind} {origin} {destination}",
        "associationType": kind,
        "originNodeURI": {"identifier": origin, "uri": f"https://c.test/{origin}", "title": "x"},
        "destinationNodeURI": {"identifier": destination, "uri": "https://c.test/d", "title": "x"},
    }


def package(items: list[Any], links: list[Any], document: str = "doc") -> dict[str, Any]:
    changed = "2026-03-01T00:00:00+00:00"
    return {
        "CFDocument": {"identifier": document, "title": "T", "lastChangeDateTime": changed},
        "CFItems": items,
        "CFAssociations": links,
    }


def test_a_case_package_is_read_as_its_associations_mean_it() -> None:
    """Out: swap origin and destination of `precedes`; let `isPartOf` be a parent; name the point by a long statement."""
    found = read(
        json.dumps(
            package(
                [
                    item("d", "Number", humanCodingScheme="NF", CFItemType="Domain"),
                    item("a", "Add fractions.", humanCodingScheme="5.NF.1"),
                    item("b", LONG, humanCodingScheme="4.NF.1", lastChangeDateTime="2026-02-01"),
                    item("c", LONG, abbreviatedStatement="Equal fractions"),
                ],
                [
                    link("isChildOf", "d", "doc"),
                    link("isChildOf", "a", "d"),
                    link("isChildOf", "b", "d"),
                    link("precedes", "b", "a"),
                    link("exactMatchOf", "a", "elsewhere"),
                    link("isPeerOf", "a", "b"),
                    link("isPartOf", "c", "d"),
                    link("isChildOf", "b", "a"),
                ],
            )
        ),
        "case",
    )
    assert points(found) == {
        "d": {"point_id": "d", "name": "Number", "label": "NF", "description": "Number"},
        "a": {
            "point_id": "a",
            "name": "Add fractions.",
            "label": "5.NF.1",
            "description": "Add fractions.",
            "parent": "d",
            "requires": ["b"],
            "standard_id": "elsewhere",
        },
        "b": {
            "point_id": "b",
            "name": "4.NF.1",
            "label": "4.NF.1",
            "description": LONG.strip(),
            "parent": "d",
        },
        "c": {"point_id": "c", "name": "Equal fractions", "description": LONG.strip()},
    }
    assert left_out(found) == [
        "association isPeerOf",
        "association isPartOf",
        "association isChildOf (a second parent)",
    ]
    assert rejects(found) == []
    times = {each.data.point_id: each.time[:10] for each in found if isinstance(each, Record)}
    assert times == {"d": "2026-03-01", "a": "2026-03-01", "b": "2026-02-01", "c": "2026-03-01"}


def test_what_is_wrong_in_a_case_package_is_set_aside_alone() -> None:
    """Out: any check of `Outline.lines`, `Outline.add`, or `_Associations`."""
    found = read(
        json.dumps(
            [
                package(
                    [
                        item("good"),
                        item("good", "Again."),
                        {"identifier": "no statement"},
                        "text",
                        item("x" * 129),
                        item("loop 1"),
                        item("loop 2"),
                        item("loop 3"),
                        item("of nobody"),
                        item("below", "Below a point that is set aside."),
                        item("dated", lastChangeDateTime="soon"),
                    ],
                    [
                        link("isChildOf", "loop 1", "loop 2"),
                        link("isChildOf", "loop 2", "loop 3"),
                        link("isChildOf", "loop 3", "loop 1"),
                        link("isChildOf", "of nobody", "unknown"),
                        link("isChildOf", "below", "loop 3"),
                        link("precedes", "good", "unknown"),
                        {"associationType": "precedes", "originNodeURI": {"identifier": "good"}},
                        {**link("precedes", "good", "below"), "associationType": 5},
                        None,
                        link("precedes", "elsewhere", "below"),
                    ],
                ),
                package([item("second")], []),
                package([item("third")], [], document="other"),
                5,
            ]
        ),
        "case",
    )
    assert set(points(found)) == {"good", "loop 1", "loop 2", "below", "third"}
    assert points(found)["good"]["name"] == "Count."
    assert points(found)["below"]["requires"] == ["elsewhere"]
    assert sorted(rejects(found), key=str) == sorted(
        [
            ("CFItems", 2, "id", "is the id of two points"),
            ("CFItems", 3, "fullStatement", "is missing"),
            ("CFItems", 4, "identifier", "is missing"),
            ("CFItems", 5, "data.point_id", "string should have at most 128 characters"),
            ("CFItems", 8, "parent", "is below the point itself"),
            ("CFItems", 9, "parent", "is not there"),
            ("CFItems", 11, "timestamp", "not an ISO 8601 date and time"),
            ("CFAssociations", 6, "destinationNodeURI", "is not there"),
            ("CFAssociations", 7, "destinationNodeURI", "has no identifier"),
            ("CFAssociations", 8, "associationType", "is missing"),
            ("CFAssociations", 9, "originNodeURI", "has no identifier"),
            ("CFPackage", 2, "CFDocument", "is there twice"),
            ("CFPackage", 4, "CFPackage", "is not a package"),
        ],
        key=str,
    )


OUTLINES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "english": (
        (
            "ID,Parent,Code,Name,Description,Prerequisites\n"
            'a,,,Number,,\nb,a,7.N.1,Fractions,"Add, and subtract.",\nc,Number,,Ratios,,b; Sums\n'
        ),
        {
            "a": {"point_id": "a", "name": "Number"},
            "b": {
                "point_id": "b",
                "name": "Fractions",
                "label": "7.N.1",
                "description": "Add, and subtract.",
                "parent": "a",
            },
            "c": {"point_id": "c", "name": "Ratios", "parent": "a", "requires": ["b", "Sums"]},
        },
    ),
    "commas and codes": (
        (
            'guid,human coding scheme,title,prerequisite ids\na,7.1,Sums,\nb,7.2,"Adding, again",\n'
            'c,7.3,Ratios,"7.1, b"\nd,7.4,Rates,"Adding, again; x, a"\n'
        ),
        {
            "a": {"point_id": "a", "name": "Sums", "label": "7.1"},
            "b": {"point_id": "b", "name": "Adding, again", "label": "7.2"},
            "c": {"point_id": "c", "name": "Ratios", "label": "7.3", "requires": ["a", "b"]},
            "d": {"point_id": "d", "name": "Rates", "label": "7.4", "requires": ["b", "x, a"]},
        },
    ),
    "chinese": (
        "知识点编号,上级编号,知识点名称,描述,先修知识点,备注\nS1,,数与代数,,,\nS2,S1,分数,分数的意义,,x\nS3,S1,比例,,S2、除法,\n",
        {
            "S1": {"point_id": "S1", "name": "数与代数"},
            "S2": {"point_id": "S2", "name": "分数", "description": "分数的意义", "parent": "S1"},
            "S3": {"point_id": "S3", "name": "比例", "parent": "S1", "requires": ["S2", "除法"]},
        },
    ),
    "levels": (
        "Level\tTitle\n1\tNumber\n2\tFractions\n3\tSums\n2\tRatios\n1\tShapes\n",
        {
            "Number": {"point_id": "Number", "name": "Number"},
            "Fractions": {"point_id": "Fractions", "name": "Fractions", "parent": "Number"},
            "Sums": {"point_id": "Sums", "name": "Sums", "parent": "Fractions"},
            "Ratios": {"point_id": "Ratios", "name": "Ratios", "parent": "Number"},
            "Shapes": {"point_id": "Shapes", "name": "Shapes"},
        },
    ),
    "indented": (
        "编号,名称\n1,数\n2,　分数\n3,　　加法\n4,形\n",
        {
            "1": {"point_id": "1", "name": "数"},
            "2": {"point_id": "2", "name": "分数", "parent": "1"},
            "3": {"point_id": "3", "name": "加法", "parent": "2"},
            "4": {"point_id": "4", "name": "形"},
        },
    ),
    "long statements": (
        f"code,statement\n7.A,{LONG}\n",
        {
            "7.A": {
                "point_id": "7.A",
                "name": "7.A",
                "label": "7.A",
                "description": LONG.strip(),
            }
        },
    ),
}


@pytest.mark.parametrize("name", OUTLINES)
def test_an_outline_is_read_by_the_names_of_its_columns(name: str) -> None:
    text, expected = OUTLINES[name]
    encodings = ["utf-8", "utf-8-sig", "utf-16"]
    if name == "chinese":
        encodings.append("gb18030")  # The others have too little text to tell the encoding.
    for encoding in encodings:
        found = read(text.encode(encoding), "outline")
        assert points(found) == expected
        assert rejects(found) == []


def test_a_wrong_row_of_an_outline_is_set_aside_alone() -> None:
    found = read(
        "id,parent,name\na,,Number\na,,Twice\nb,b,Own parent\nc,nowhere,Lost\nd,a\ne,a,Sums\n",
        "outline",
    )
    assert set(points(found)) == {"a", "e"}
    assert sorted(rejects(found)) == sorted(
        [
            (None, 3, "id", "is the id of two points"),
            (None, 4, "parent", "is below the point itself"),
            (None, 5, "parent", "is not there"),
            (None, 6, "(row)", "has not as many cells as the header"),
        ]
    )


UNUSABLE: dict[str, tuple[Format, str | bytes, str]] = {
    "cut off": ("case", '{"CFItems": [', "the file is not valid JSON; export it again"),
    "deep": ("case", '{"a":' * 100_000, "the file is not valid JSON; export it again"),
    "other JSON": ("case", '{"items": []}', "it is not a CASE package: it has no list CFItems"),
    "a number": ("case", "5", "it is not a CASE package: it has no list CFItems"),
    "no item": (
        "case",
        '{"CFDocument": {}, "CFItems": []}',
        "the file has no point of a curriculum",
    ),
    "no column": (
        "outline",
        "Student,Mark\na,5\n",
        (
            "an outline needs a column that is called id, name or description (编号, 名称 or 描述); "
            "the header has Student, Mark"
        ),
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_not_a_curriculum_is_refused_with_one_sentence(name: str) -> None:
    form, text, sentence = UNUSABLE[name]
    with pytest.raises(MalformedFile) as refused:
        read(text, form)
    assert str(refused.value) == sentence


def standard(cluster: Any, ordinal: Any, text: str = "", **more: Any) -> dict[str, Any]:
    return {"ccmathcluster_id": cluster, "ordinal": ordinal, "desc": text, **more}


COHERENCE_MAP = {
    "domains": {"7": {"id": "7", "grade": "6", "ordinal": "NS", "name": "Number System"}},
    "clusters": {"70": {"id": "70", "ccmathdomain_id": "7", "ordinal": "A", "name": "Divide."}},
    "standards": {
        "1": standard("70", "1", "<p>Divide fractions &amp; explain.</p>"),
        "2": standard(70, 2, LONG),
        "3": standard("70", "2.b", "A part."),
        "4": standard("99", "9", "Lost."),
        "5": standard("70", "", "No code."),
        "6": standard("70", "1", "Again."),
    },
    "edges": [{"from": "1", "to": "2"}, {"from": 3, "to": 1}, {"from": "1", "to": "4"}, None],
    "nd_edges": [{"from": "2", "to": "3"}],
}


def test_a_coherence_map_is_read_as_its_edges_mean_it() -> None:
    """Out: swap the ends of an edge; let an undirected edge be a prerequisite; keep the HTML."""
    text = json.dumps(COHERENCE_MAP)
    for written in (text, f"window.cc = {text};\n", f"export default {text}"):
        found = read(written, "coherence_map")
        assert points(found) == {
            "6.NS": {
                "point_id": "6.NS",
                "name": "Number System",
                "label": "6.NS",
                "description": "Number System",
            },
            "6.NS.A": {
                "point_id": "6.NS.A",
                "name": "Divide.",
                "label": "6.NS.A",
                "description": "Divide.",
                "parent": "6.NS",
            },
            "6.NS.A.1": {
                "point_id": "6.NS.A.1",
                "name": "Divide fractions & explain.",
                "label": "6.NS.A.1",
                "description": "Divide fractions & explain.",
                "parent": "6.NS.A",
                "requires": ["6.NS.A.2b"],
            },
            "6.NS.A.2": {
                "point_id": "6.NS.A.2",
                "name": "6.NS.A.2",
                "label": "6.NS.A.2",
                "description": LONG.strip(),
                "parent": "6.NS.A",
                "requires": ["6.NS.A.1"],
            },
            "6.NS.A.2b": {
                "point_id": "6.NS.A.2b",
                "name": "A part.",
                "label": "6.NS.A.2b",
                "description": "A part.",
                "parent": "6.NS.A.2",
            },
        }
        assert rejects(found) == [
            ("standards", 4, "ccmathcluster_id", "is not there"),
            ("standards", 5, "ordinal", "is missing"),
            ("standards", 6, "id", "is the id of two points"),
            ("edges", 3, "to", "is not there"),
            ("edges", 4, "from", "is not there"),
        ]
        assert left_out(found) == ["edge without a direction"]


COLLECTION = """<col:collection xmlns="http://cnx.rice.edu/collxml" xmlns:md="http://cnx.rice.edu/mdml"
  xmlns:col="http://cnx.rice.edu/collxml"><metadata><md:title>Algebra</md:title><md:slug>algebra</md:slug></metadata>
<col:content><col:module document="m0"/><col:subcollection><md:title>Numbers</md:title><col:content>
<col:module document="m1"/><col:module document="m2"/><col:module document="m3"/><col:module document="m1"/>
<col:module document="m4"/><col:module/></col:content></col:subcollection></col:content></col:collection>"""


def module(title: str, *needed: str, kind: str = "", note: str = "be-prepared") -> str:
    links = "".join(f'<link document="{each}" target-id="x">Review</link>' for each in needed)
    abstract = "<md:abstract><list><item>Add   numbers</item></list></md:abstract>"
    return (
        f'<document xmlns="http://cnx.rice.edu/cnxml" class="{kind}"><title>{title}</title>'
        f'<metadata xmlns:md="http://cnx.rice.edu/mdml">{abstract}</metadata><content>'
        f'<note class="{note}"><para>If you missed it, {links}.</para></note>'
        f'<para><link document="m2"/></para></content></document>'
    )


def book(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), text)
    return packed.getvalue()


def test_a_book_is_read_with_its_readiness_links() -> None:
    """Out: take every link of a module, or those to other books; read the introduction as a point."""
    data = book(
        algebra_collection_xml=COLLECTION.replace("algebra_", ""),
        **{
            "modules__m0__index.cnxml": module("Introduction", kind="introduction"),
            "modules__m1__index.cnxml": module("Whole numbers"),
            "modules__m2__index.cnxml": module("Integers", "m1", "m1", "m2", "other"),
            "modules__m3__index.cnxml": "<document><title>Broken",
        },
    )
    found = read(data, "openstax")
    assert points(found) == {
        "algebra / Numbers": {"point_id": "algebra / Numbers", "name": "Numbers"},
        "m1": {
            "point_id": "m1",
            "name": "Whole numbers",
            "description": "Add numbers",
            "parent": "algebra / Numbers",
        },
        "m2": {
            "point_id": "m2",
            "name": "Integers",
            "description": "Add numbers",
            "parent": "algebra / Numbers",
            "requires": ["m1"],
        },
    }
    assert rejects(found) == [
        ("collection", 5, "document", "is not valid XML"),
        ("collection", 6, "id", "is the id of two points"),
        ("collection", 7, "document", "is not there"),
        ("collection", 8, "document", "is missing"),
    ]
    assert left_out(found) == ["module introduction", "readiness link out of the book"]


def test_a_collection_or_a_tree_alone_is_read_too() -> None:
    found = read(
        COLLECTION.replace('"m2"/>', '"m2"><md:title>Integers</md:title></col:module>'), "openstax"
    )
    assert {key: data["name"] for key, data in points(found).items()} == {
        "m0": "m0",
        "algebra / Numbers": "Numbers",
        "m1": "m1",
        "m2": "Integers",
        "m3": "m3",
        "m4": "m4",
    }
    number = '<span class="os-number">1.2</span><span class="os-divider"> </span>'
    inside = [
        {"id": "b@2", "title": f'{number}<span class="os-text">Sums &amp; more</span>'},
        {"id": "c", "title": "Ratios", "readiness": ["b@2", "elsewhere", 5]},
        {"title": "Without an id"},
        "text",
    ]
    tree = {"id": "t", "tree": {"contents": [{"id": "a", "title": "Numbers", "contents": inside}]}}
    found = read(json.dumps(tree), "openstax")
    assert points(found) == {
        "a": {"point_id": "a", "name": "Numbers"},
        "b": {"point_id": "b", "name": "Sums & more", "label": "1.2", "parent": "a"},
        "c": {"point_id": "c", "name": "Ratios", "parent": "a", "requires": ["b"]},
    }
    assert rejects(found) == [("tree", 4, "id", "is missing"), ("tree", 5, "id", "is missing")]
    assert left_out(found) == ["readiness link out of the book"] * 2


BOMB = '<!DOCTYPE a [<!ENTITY b "bbb">]><collection>&b;</collection>'
BAD_BOOKS: dict[str, tuple[str | bytes, str]] = {
    "entities": (BOMB, "the collection is not valid XML without a document type"),
    "entities in UTF-16": (
        BOMB.encode("utf-16"),
        "the file is not valid JSON; export it again",
    ),
    "other XML": ("<html/>", "it is not an OpenStax book: the XML is not a collection"),
    "damaged": (b"PK\x03\x04" + b"x" * 99, "it is a damaged ZIP file; pack it again"),
    "no collection": (book(a="b"), "the ZIP has no collection.xml with the table of contents"),
    "two": (
        book(a_collection_xml="x", b_collection_xml="y"),
        "the ZIP has several collections; keep one of a_collection.xml, b_collection.xml",
    ),
    "other JSON": ("{}", "it is not an OpenStax book: it has no tree with contents"),
}


@pytest.mark.parametrize("name", BAD_BOOKS)
def test_a_bad_book_is_refused_with_one_sentence(name: str) -> None:
    """Out: let `_parsed` accept a document type; the look at the number of collections."""
    data, sentence = BAD_BOOKS[name]
    with pytest.raises(MalformedFile) as refused:
        read(data, "openstax")
    assert str(refused.value) == sentence


def test_a_book_is_unpacked_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the count of bytes in `_Modules.read`."""
    monkeypatch.setattr(curriculum_openstax, "MAX_BYTES", 10_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("collection.xml", COLLECTION)
        archive.writestr("modules/m0/index.cnxml", " " * 1_000_000)
    with pytest.raises(MalformedFile, match="its files have more than"):
        read(packed.getvalue(), "openstax")


hostile_map = st.fixed_dictionaries(
    {
        "domains": st.dictionaries(st.sampled_from("12"), any_of_map := st.fixed_dictionaries({}, optional={
            "grade": st.just("6") | st.none(), "ordinal": st.sampled_from(["A", "1", "1.a", "", 5, None, []]),
            "ccmathdomain_id": st.sampled_from(["1", 2, None]), "ccmathcluster_id": st.sampled_from(["1", 2, None]),
            "desc": st.sampled_from(["x", "<b", None, 7]),
        }) | st.none() | st.text(max_size=2)),
        "clusters": st.dictionaries(st.sampled_from("12"), any_of_map),
        "standards": st.dictionaries(st.sampled_from("1234"), any_of_map),
        "edges": st.lists(st.fixed_dictionaries({"from": st.sampled_from("1234"), "to": st.sampled_from("1234")}) | st.none(), max_size=5),
    }
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(value=hostile_map)
def test_each_part_of_a_hostile_map_has_one_outcome(value: dict[str, Any]) -> None:
    nodes = sum(len(value[kind]) for kind in ("domains", "clusters", "standards"))
    if nodes + len(value["edges"]) == 0:
        return
    found = read(json.dumps(value), "coherence_map")
    of_edges = [each for each in found if getattr(each, "sheet", None) == "edges"]
    assert len(found) - len(of_edges) == nodes
    assert len(of_edges) <= len(value["edges"])
    for data in points(found).values():
        assert "parent" not in data or data["parent"] in points(found)


def test_a_curriculum_is_not_read_beyond_its_limit() -> None:
    """Out: the limit in `whole_file`."""
    block = b" " * (1 << 20)
    blocks = iter([block] * 140)
    with pytest.raises(MalformedFile, match="at most 128 MiB"):
        whole_file(blocks)
    assert len(list(blocks)) == 11
    with pytest.raises(MalformedFile, match="is empty"):
        decoded_file([b"  \n"])


def test_the_same_point_has_one_record_id_in_each_version_of_its_file() -> None:
    """Out: make the record id of the row, or let the timestamp be the time of reading."""
    first = read(json.dumps(package([item("a"), item("b")], [])), "case")
    second = read(json.dumps(package([item("b", "Other."), item("a")], [])), "case")
    ids = {each.data.point_id: each.record_id for each in first}
    assert {each.data.point_id: each.record_id for each in second} == ids
    assert len(set(ids.values())) == 2
    [undated] = read("id,name\na,Sums\n", "outline")
    assert undated.time[:10] == UNDATED[:10]
    assert undated.record_id not in ids.values()


def test_ten_thousand_items_in_one_line_of_parents_are_read_in_seconds() -> None:
    """Out: in `_last_of_circles`, do not remember what was looked at."""
    number = 10_000
    items = [item(f"i{n}") for n in range(number)]
    links = [link("isChildOf", f"i{n}", f"i{n - 1}") for n in range(1, number)]
    text = json.dumps(package(items, links))
    started = time.process_time()
    plan, blocks = open_text(io.BytesIO(text.encode()), "case", None)
    rows = list(cut_rows(plan.source, blocks))
    assert time.process_time() - started < 4
    assert len(rows) == number


names = st.sampled_from(["a", "b", "c", "d"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | names,
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=5,
)
any_item = st.fixed_dictionaries(
    {"identifier": names | anything, "fullStatement": st.text(min_size=1, max_size=3) | anything},
    optional={"humanCodingScheme": anything, "abbreviatedStatement": anything},
)
any_link = st.fixed_dictionaries(
    {
        "associationType": st.sampled_from(["isChildOf", "precedes", "exactMatchOf"]) | anything,
        "originNodeURI": st.builds(lambda n: {"identifier": n}, names) | anything,
        "destinationNodeURI": st.builds(lambda n: {"identifier": n}, names) | anything,
    }
)


@settings(max_examples=200, deadline=None)
@given(
    items=st.lists(any_item | anything, min_size=1, max_size=8),
    links=st.lists(any_link | anything, max_size=10),
)
def test_each_part_of_a_hostile_package_has_one_outcome(items: list[Any], links: list[Any]) -> None:
    found = read(json.dumps(package(items, links)), "case")
    good = [
        each
        for each in items
        if isinstance(each, dict)
        and isinstance(each.get("identifier"), str)
        and isinstance(each.get("fullStatement"), str)
        and each["identifier"].strip()
        and each["fullStatement"].strip()
    ]
    of_items = [each for each in found if getattr(each, "sheet", "CFItems") == "CFItems"]
    assert sum(isinstance(each, Record | Reject) for each in of_items) == len(items)
    records = points(found)
    assert records.keys() <= {each["identifier"].strip() for each in good}
    # The parents of the remaining points do not form a circle.
    for point_id in records:
        at, steps = point_id, 0
        while at in records and records[at].get("parent"):
            at, steps = records[at]["parent"], steps + 1
            assert steps <= len(items)


rows_of_outline = st.lists(
    st.tuples(names, names | st.just(""), st.text(alphabet="xy ", max_size=3)), max_size=8
)


@settings(max_examples=100, deadline=None)
@given(rows=rows_of_outline)
def test_each_row_of_a_generated_outline_has_one_outcome(rows: list[tuple[str, ...]]) -> None:
    text = "id,parent,name\n" + "".join(",".join(row) + "\n" for row in rows)
    make: Callable[[], list[Any]] = lambda: read(text, "outline")  # noqa: E731
    if not rows:
        with pytest.raises(MalformedFile):
            make()
        return
    found = make()
    assert len(found) == len(rows)
    first = {row[0]: row for row in reversed(rows)}
    for point_id, data in points(found).items():
        assert data.get("parent", "") == first[point_id][1]
