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
        ("½½", "1/2 1/2", "½ ½"),
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


@given(
    st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), min_size=1).filter(
        str.strip
    )
)
def test_a_key_is_never_empty_and_is_its_own_canonical_name(name: str) -> None:
    assert canonical_name(name)
    assert canonical_name(canonical_name(name)) == canonical_name(name)


def test_a_name_of_punctuation_keeps_it() -> None:
    assert canonical_name("?!") != canonical_name("...")


@pytest.mark.parametrize("word", ["of", "to", "by", "or", "an", "is", "in", "on", "at", "as"])
def test_short_words_that_are_no_symbols_have_no_case(word: str) -> None:
    assert canonical_name(f"Law {word.upper()} Cosines") == canonical_name(f"law {word} cosines")
    assert canonical_name(f"Law {word.title()} Cosines") == f"law {word} cosines"


@pytest.mark.parametrize(
    ("form", "plain"),
    [
        ("Ａ", "A"), ("ｶ", "カ"), ("﹪", "%"), ("ﬁ", "fi"), ("㎏", "kg"), ("︵a︶", "(a)"), ("a\u00a0b", "a b"), ("¼", "1/4"),
        ("\ufe91", "\u0628"), ("\ufe92", "\u0628"), ("\ufe90", "\u0628"), ("\ufe8f", "\u0628"),
    ],
)  # fmt: skip
def test_other_forms_of_the_same_characters_are_the_same(form: str, plain: str) -> None:
    assert canonical_name(f"x {form}") == canonical_name(f"x {plain}")


@pytest.mark.parametrize("dash", "−‐‒–—―-")
def test_every_dash_is_a_minus_or_a_hyphen(dash: str) -> None:
    assert canonical_name(f"5{dash}3") == "5-3"
    assert canonical_name(f"x {dash} y") == "x-y"
    assert canonical_name(f"well{dash}known") == "wellknown"
    assert canonical_name(f"times {dash}1") == "times -1"


@pytest.mark.parametrize("prime", "′’‘ʹʼ'")
def test_every_prime_is_a_prime_an_apostrophe_or_a_quotation_mark(prime: str) -> None:
    assert canonical_name(f"f{prime}(x)") == "f' x"
    assert canonical_name(f"f{prime}{prime}") == "f''"
    assert canonical_name(f"Newton{prime}s law") == "newtonslaw"
    assert canonical_name(f"{prime}f{prime}") == "f"
    assert canonical_name(f"f{prime} rules") == "f' rules"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("n!", "n!"), ("(a+b)!", "a+b!"), ("A*", "A*"), ("word!", "word"), ("A~", "A~"), ("5.5", "5.5"), ("a.b", "a b"), ("5.b", "5b"),
        ("a / b", "a/b"), ("x : y", "x:y"), ("R & D", "R&D"), ("x_i", "x_i"), ("ab/cd", "ab cd"), ("a/cd", "a cd"), ("ab/c", "ab c"),
        ("n!/k!", "n!/k!"), ("(a)/(b)", "a/b"), ("f'/g", "f'/g"), ("a, b - c", "a b-c"), ("5 5", "5 5"), ("5 . 5", "5 5"),
        ("加 法", "加法"), ("加-法", "加法"), ("x 加", "x加"), ("C#", "C#"), ("5 %", "5%"), ("NaCl  test", "NaCl test"),
        ("SIN", "sin"), ("SiN x", "SiN x"), ("Sine", "sine"), ("pH", "pH"), ("In", "in"), ("a\u200bb", "ab"), ("a - - b", "a b"),
        (" - a", "a"), ("x -y", "x-y"), ("x- y", "x-y"), ("a /b", "a/b"), ("word -a", "word -a"), ("word-a", "word a"), ("5-a", "5-a"), ("(-a)", "-a"), ("加-1", "加-1"),
        ("eigen value", "eigenvalue"), ("Eigen  Value", "eigenvalue"), ("two of us", "two of us"), ("", ""), ("...", "..."),
    ],
)  # fmt: skip
def test_a_name_has_this_canonical_form(name: str, canonical: str) -> None:
    """As it was when graphs were written: another form is another node."""
    assert canonical_name(name) == canonical


def test_a_name_too_long_for_the_index_is_told_by_its_hash() -> None:
    longest = "é" * 4_000
    assert canonical_name(longest) == longest
    longer, other = (canonical_name("é" * 4_000 + rest) for rest in "ab")
    assert longer != other
    assert longer[:201] == "é" * 200 + "#"
    assert len(longer) == 200 + 1 + 64
