import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.canonical_names import canonical_name


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
def test_what_means_the_same_has_one_canonical_name(spellings: tuple[str, ...]) -> None:
    assert len({canonical_name(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("C", "C#"), ("C", "C++"), ("1/2", "12"), ("1.5", "15"), ("1.5", "1/5"), ("5", "5%"), ("chapter 1 1", "chapter 11"), ("x+y", "xy"), ("加法", "减法")],
)  # fmt: skip
def test_what_means_something_else_has_another_canonical_name(one: str, other: str) -> None:
    assert canonical_name(one) != canonical_name(other)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), min_size=1).filter(str.strip))
def test_a_key_is_never_empty_and_is_its_own_canonical_name(name: str) -> None:
    assert canonical_name(name)
    assert canonical_name(canonical_name(name)) == canonical_name(name)


def test_a_name_of_punctuation_keeps_it() -> None:
    assert canonical_name("?!") != canonical_name("...")
