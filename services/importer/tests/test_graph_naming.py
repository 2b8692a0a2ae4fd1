import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_importer.graph.naming import Spellings, key


@pytest.mark.parametrize(
    "spellings",
    [
        ("Linear equations", "linear  EQUATIONS", "linear-equations", "Linear_Equations!", "ｌｉｎｅａｒ ｅｑｕａｔｉｏｎｓ", " “Linear” equations"),
        ("一元二次方程", "一元 二次方程", "一元二次方程。", "《一元二次方程》"),
        ("Straße", "STRASSE"),
        ("Newton's law", "Newton’s Law", "newtons law"),
        ("1/2", "½", " 1/2 "),
    ],
)  # fmt: skip
def test_what_means_the_same_has_one_key(spellings: tuple[str, ...]) -> None:
    assert len({key(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("C", "C#"), ("C", "C++"), ("1/2", "12"), ("1.5", "15"), ("1.5", "1/5"), ("5", "5%"), ("chapter 1 1", "chapter 11"), ("x+y", "xy"), ("加法", "减法")],
)  # fmt: skip
def test_what_means_something_else_has_another_key(one: str, other: str) -> None:
    assert key(one) != key(other)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), min_size=1).filter(str.strip))
def test_a_key_is_never_empty_and_is_its_own_key(name: str) -> None:
    assert key(name)
    assert key(key(name)) == key(name)


def test_a_name_of_punctuation_keeps_it() -> None:
    assert key("?!") != key("...")


def test_the_earliest_spelling_is_the_name_in_whatever_order_they_come() -> None:
    said = [("b", "2"), ("a", "1"), ("c", "3"), ("a", "4"), ("d", "1")]
    for order in itertools.permutations(said):
        spellings = Spellings()
        for spelling, stamp in order:
            spellings.add(spelling, stamp)
        assert spellings.properties() == {"name": "a", "name_stamp": "1", "aliases": ["b", "c", "d"]}


def test_adding_what_is_known_changes_nothing() -> None:
    spellings = Spellings.read({"name": "a", "name_stamp": "1", "aliases": ["b"]})
    assert not spellings.add("a", "2")
    assert not spellings.add("b", "3")
    assert spellings.add("b", "0")
