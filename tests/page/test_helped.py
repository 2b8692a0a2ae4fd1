"""Did it help to speak with students? The page of a point says it as surely as it is known."""

from typing import Any

import pytest
from page.readable import WIDTHS, check_width, serious
from page.test_pages import CHINESE, COURSE, LANGUAGES, POINT, close, with_key
from page.test_today import answer_with
from page.visitor import Visitor

pytestmark = pytest.mark.embedded

BLOCK = "[data-question=did-it-help]"
TEACHER = "eg_teacher:T01"
SHARES = {
    "right_before": 0.41,
    "right_after": 0.58,
    "comparable_before": 0.44,
    "comparable_after": 0.49,
}


def answered(visit: Visitor, state: str, **values: Any) -> None:
    row: dict[str, Any] = {"state": state, "students": 14, "comparable_students": 31}
    row |= dict.fromkeys([*SHARES, "difference", "low", "high"])
    answer = visit.answer("did-it-help", course=COURSE)
    answer_with(visit, "did-it-help", answer | {"rows": [row | values]})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("state", "words", "interval"),
    [
        ("more right", "helped.more", (0.12, 0.03, 0.21)),
        ("less right", "helped.less", (-0.12, -0.21, -0.03)),
        ("cannot tell", "helped.cannot_tell", (0.05, -0.04, 0.14)),
    ],
)
def test_a_difference_is_said_as_surely_as_it_is_known(
    visit: Visitor, state: str, words: str, interval: tuple[float, float, float], language: str
) -> None:
    """Out: `points`, or the case `cannot tell` in helped.js."""
    difference, low, high = interval
    answered(visit, state, **SHARES, difference=difference, low=low, high=high)
    for width in WIDTHS:
        visit.page.set_viewport_size({"width": width, "height": 844})
        shown = visit.open("point", course=COURSE, lang=language, point=POINT)
        check_width(shown)
    said = shown.locator(f"{BLOCK} p").first.inner_text()
    expected = LANGUAGES[language][words]
    if state == "less right":  # by how many points, without a sign
        difference, low, high = -difference, -high, -low
    for name, value in (("n", difference), ("least", low), ("most", high)):
        expected = expected.replace("{" + name + "}", str(round(100 * value)))
    assert said == expected
    values = [SHARES["right_before"], SHARES["right_after"], 14]
    values += [SHARES["comparable_before"], SHARES["comparable_after"], 31]
    assert close(visit.values(f"{BLOCK} tbody"), values)
    assert serious(shown) == []
    if language == "zh":
        for each in shown.locator(f"{BLOCK} :is(h2, p, th, caption)").all():
            assert CHINESE.search(str(each.text_content()))


def test_with_few_students_there_is_a_sentence_and_no_number(visit: Visitor) -> None:
    """The school of the examples has too few. Out: the case `too few` in helped.js."""
    [row] = visit.answer("did-it-help", course=COURSE)["rows"]
    assert row["state"] == "too few"
    shown = visit.open("point", course=COURSE, lang="en", point=POINT)
    said = shown.locator(BLOCK).inner_text()
    assert "at least 10 with a contact and 10 comparable ones are needed" in said
    assert shown.locator(f"{BLOCK} table").count() == 0


def test_without_a_contact_or_comparable_students_nothing_is_claimed(visit: Visitor) -> None:
    answered(visit, "all had contact")
    shown = visit.open("point", course=COURSE, lang="en", point=POINT)
    assert (
        "the comparable students had a contact soon afterwards" in shown.locator(BLOCK).inner_text()
    )
    answer = visit.answer("did-it-help", course=COURSE)
    answer_with(visit, "did-it-help", answer | {"rows": []})
    shown = visit.open("point", course=COURSE, lang="en", point=POINT)
    assert "No talk with a student" in shown.locator(BLOCK).inner_text()
    assert shown.locator(f"{BLOCK} table").count() == 0


@pytest.mark.parametrize(("key", "may_ask"), [(TEACHER, True), ("eg_head:T01", False)])
def test_only_who_leads_students_is_shown_whether_it_helped(
    visit_guarded: Visitor, key: str, may_ask: bool
) -> None:
    """Out: `questions.has('did-it-help')` in point.js."""
    visit = visit_guarded
    visit.page.add_init_script(with_key(key))
    asked: list[str] = []
    visit.page.on("request", lambda request: asked.append(request.url))
    shown = visit.open("point", course=COURSE, lang="en", point=POINT)
    assert shown.locator(BLOCK).count() == int(may_ask)
    assert bool([each for each in asked if "/did-it-help" in each]) == may_ask
    assert shown.locator(f"{BLOCK} .refusal").count() == 0
