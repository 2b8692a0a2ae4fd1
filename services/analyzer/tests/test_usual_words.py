"""Misspelt and unknown names do not leave with a question: they are almost names, or they are not usual words."""

import re
from functools import cache
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.name_forms import words_in
from edugraph_analyzer.wording.near_names import edits_between
from edugraph_analyzer.wording.usual_words import (
    has_word_near_a_name,
    is_usual,
    only_usual_words,
)

PEOPLE = ("Anna Keller", "Benjamin Adeyemi", "Siobhán O'Brien", "王小明", "李蕾", "欧阳静怡")
COURSE = [CourseNames(PEOPLE)]
HARMLESS = (
    "Which topics are hard, and who is falling behind since 2026-11-02?",
    "Compare <c1> with <g2> in the 3rd week of March and on Mondays, please.",
    "How did <s1> do in Physics? Write to [EMAIL_1].",
    "我们班在哪些知识点上比较薄弱?",
    "直接先修知识点有哪些?",
    "现在哪些学生需要帮助,为什么?",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_usual_question_leaves_as_it_is(text: str) -> None:
    assert only_usual_words(text) == text
    assert not has_word_near_a_name(text, COURSE)


@pytest.mark.parametrize(
    "text",
    [
        "How is Ana doing?",
        "Keler needs help",
        "did Keleler improve",
        "how is kellre doing",
        "Show me Bejamen",
        "Is Siobahn ready?",
        "王晓明的学习情况如何?",
        "王小名最近怎么样?",
        "给我看王小刚的所有作答",
        "请问李磊需要帮助吗?",
        "欧阳静宜还没交作业吗?",
        "晓明的学习情况如何?",
    ],
)
def test_a_word_near_a_name_is_found(text: str) -> None:
    """Out: one edit, two edits, swapped letters, names without capitals, or the sound and the other character in Chinese."""
    assert has_word_near_a_name(text, COURSE)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("How is Zoltan doing?", "How is … doing?"),
        ("zoltan needs help", "… needs help"),
        ("Zoltan needs help", "… needs help"),
        ("How is Grace doing?", "How is … doing?"),
        ("Z o l t a n needs help", "… needs help"),
        ("How is Zol\u200btan doing?", "How is … doing?"),
        ("Как дела у Олега?", "… … у …?"),
        ("Show me S99 and 20231107", "Show me … and …"),
        ("陈思琪的学习情况如何?", "…的学习情况如何?"),
        ("给我看陈思琪的所有作答", "给我看…的所有作答"),
        ("刘洋最近怎么样?", "…最近怎么样?"),
    ],
)
def test_a_name_on_no_list_is_left_out(text: str, sent: str) -> None:
    """Out: one of the rules of `_is_kept`, `_SPELT_OUT`, or the two patterns of `names_in_question`."""
    assert only_usual_words(text) == sent


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=12), st.booleans())
def test_no_other_word_leaves(word: str, has_capital: bool) -> None:
    """Out: the list of usual words. The reference is the file itself."""
    forms = {word, *(word.removesuffix(ending) for ending in ("s", "ed", "ing"))}
    assume(words_in("usual.txt").isdisjoint(forms) and not is_usual(word))
    written = word
    if has_capital:
        written = word.capitalize()
    for text in (f"How is {written} doing?", f"{written} needs help", f"帮我看{written}的作答"):
        assert written not in re.findall(r"[A-Za-z]+", only_usual_words(text))


@given(
    st.sampled_from(["Keller", "Benjamin", "Adeyemi", "Brien"]),
    st.integers(0, 20),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz"),
    st.sampled_from(["left out", "added", "changed", "swapped"]),
)
def test_each_edit_of_a_name_is_refused_or_left_out(
    name: str, place: int, letter: str, edit: str
) -> None:
    at = place % (len(name) - 1)
    written = {
        "left out": name[:at] + name[at + 1 :],
        "added": name[:at] + letter + name[at:],
        "changed": name[:at] + letter + name[at + 1 :],
        "swapped": name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    }[edit]
    assume(not is_usual(written.casefold()))
    assert has_word_near_a_name(f"What did {written.capitalize()} do?", COURSE)
    assert written not in only_usual_words(f"what did {written} do?")


@cache
def by_definition(word: str, name: str) -> int:
    """Return the distance as its definition has it: the least number over the last letters."""
    if not word or not name:
        return len(word) + len(name)
    least = min(
        by_definition(word[:-1], name) + 1,
        by_definition(word, name[:-1]) + 1,
        by_definition(word[:-1], name[:-1]) + (word[-1] != name[-1]),
    )
    if len(word) > 1 and len(name) > 1 and word[-2:] == name[-1] + name[-2]:
        least = min(least, by_definition(word[:-2], name[:-2]) + 1)
    return least


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_edits_are_counted_by_their_definition(word: str, name: str) -> None:
    assert edits_between(word, name) == by_definition(word, name)


def test_the_list_of_usual_words_names_nobody() -> None:
    names = words_in("first.txt") - words_in("words.txt")
    assert words_in("usual.txt").isdisjoint(names)
    for first, second in product(("王", "李"), ("伟", "芳")):
        assert only_usual_words(f"请问{first}{second}需要帮助吗?") == "请问…需要帮助吗?"
