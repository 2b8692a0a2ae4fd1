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
        ("LAW OF COSINES", "Law of Cosines", "law of cosines", "Law Of Cosines", "law-of-cosines"),
        ("x-axis", "x axis", "x‑Axis"),
        ("A* search", "A* Search", "A*-search"),
        ("f'(x)", "f′(x)", "f’ (x)", "ｆ＇（ｘ）"),
        ("x - y", "x-y", "x − y", "x–y"),
        ("-1", "−1", "－１", " -1 "),
        ("1½", "1 1/2", "1 ½"),
        ("CO2", "CO 2", "ＣＯ２"),
        ("Ohm’s law", "OHM'S LAW", "ohms law"),
        ("eigenvalue", "Eigen-value", "eigen value"),
        ("函数的图像", "函数 的 图像", "函数的图像！", "“函数”的图像"),
        ("ガ", "ｶﾞ"),
        ("office", "oﬃce"),
        ("é", "e\u0301"),
    ],
)  # fmt: skip
def test_what_means_the_same_has_one_canonical_name(spellings: tuple[str, ...]) -> None:
    assert len({canonical_name(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("C", "C#"), ("C", "C++"), ("1/2", "12"), ("1.5", "15"), ("1.5", "1/5"), ("5", "5%"), ("chapter 1 1", "chapter 11"), ("x+y", "xy"), ("加法", "减法"),
     ("10²", "102"), ("10²", "10"), ("x²", "x₂"), ("x²", "x2"), ("x₂", "x2"), ("n!", "n"), ("5!", "5"), ("(a+b)!", "a+b"),
     ("f'(x)", "f(x)"), ("f''(x)", "f'(x)"), ("f'", "f"), ("A*", "A"), ("A* search", "A search"), ("Co", "CO"),
     ("Co compounds", "CO compounds"), ("CO的性质", "Co的性质"), ("NO", "No"), ("pH", "PH"), ("CoS", "cos"), ("a", "A"),
     ("Δ", "δ"), ("−1", "1"), ("-1", "1"), ("temperature -1", "temperature 1"), ("(-1)", "(1)"), ("乘以-1", "乘以1"),
     ("1/25", "125"), ("1½", "11/2"), ("x-1", "x1"), ("x - y", "xy"), ("a/b", "ab"), ("x_2", "x2"), ("R&D", "RD"),
     ("3:4", "34"), ("ℝ", "R"), ("①", "1"), ("e^-1", "e^1"), ("n(n-1)/2", "n(n-1)2"), ("|x|", "x"), ("5′", "5")],
)  # fmt: skip
def test_what_means_something_else_has_another_canonical_name(one: str, other: str) -> None:
    assert canonical_name(one) != canonical_name(other)


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), min_size=1).filter(str.strip))
def test_a_key_is_never_empty_and_is_its_own_canonical_name(name: str) -> None:
    assert canonical_name(name)
    assert canonical_name(canonical_name(name)) == canonical_name(name)


def test_a_name_of_punctuation_keeps_it() -> None:
    assert canonical_name("?!") != canonical_name("...")
