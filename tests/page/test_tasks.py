"""Tasks of a teacher, done by keyboard alone, and read as a screen reader reads the page.

Each task begins at the landing page and takes at most five interactions: keys that open a link, choose something or
press a button. The answer of the API says what must be found.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from page.test_imports import ended
from page.test_pages import TERM, parameters
from page.test_today import answer_with, missing_tasks
from page.visitor import Visitor

pytestmark = pytest.mark.embedded

MOST_INTERACTIONS = 5
MOST_TABS = 200
# Each language is tried in three sizes over the tasks, and each size in both languages.
VIEWS = [("en", "ALG", 1440), ("zh", "MATH8", 390), ("en", "ALG", 820)]
OTHER_VIEWS = [("zh", "MATH8", 1440), ("en", "ALG", 390), ("zh", "MATH8", 820)]

GRADEBOOK = """Student,ID,SIS User ID,SIS Login ID,Section,Quiz 3 (1301)
    Points Possible,,,,,10
"Berg, Anna",1,20150117,aberg,8A,7
"Lind, Ella",2,20150122,elind,8B,4
"Ng, Hao",3,20150123,hng,8B,10
"""


class Keyboard:
    """A person who has no mouse. `interactions` counts what they did, without the ways by the key Tab."""

    def __init__(self, visit: Visitor, size: int) -> None:
        self.visit, self.page = visit, visit.page
        self.page.set_viewport_size({"width": size, "height": 900})
        self.interactions = 0

    def land(self, language: str, course: str) -> None:
        """Open the landing page of a teacher, in the term of the examples."""
        self.visit.open("start", course=course, lang=language, term=TERM)
        assert self.page.locator("[data-page=today]").count() == 1

    def open(self, address: str) -> None:
        """Open the first link whose address has this part, on a phone after the button for the other pages."""
        link = f"a[href*='{address}']"
        is_behind_more = self.page.locator(f"{link}:visible").count() == 0
        if is_behind_more:
            self.use(".more", "Enter")
        self.use(link, "Enter")
        self.visit.ready()

    def use(self, element: str, key: str) -> None:
        """Go on by Tab to the first element that this selector of CSS names, and press a key there."""
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("name => document.activeElement.matches(name)", element):
                self.page.keyboard.press(key)
                self.interactions += 1
                return
        pytest.fail(f"{element} is not reached by {MOST_TABS} times Tab")

    def choose(self, file: Path) -> None:
        """Choose a file. The window in which people do that is not the page's, and this browser has none."""
        self.page.set_input_files("#file", file)
        self.page.wait_for_selector(".upload h3")
        self.interactions += 1

    def reads(self) -> str:
        """Return what a screen reader has of the page, in its order."""
        text: str = self.page.locator("main").aria_snapshot()
        return text


@pytest.fixture
def keyboard(visit: Visitor, request: pytest.FixtureRequest) -> Iterator[tuple[Keyboard, str, str]]:
    language, course, size = request.param
    person = Keyboard(visit, size)
    person.land(language, course)
    yield person, language, course
    assert person.interactions <= MOST_INTERACTIONS


def asked(visit: Visitor, course: str) -> dict[str, str]:
    return parameters(visit, {"term": TERM}) | {"course": course}


def ids(view: tuple[str, str, int]) -> str:
    language, _, size = view
    return f"{language}-{size}"


def part_after(text: str, heading: str) -> str:
    """Return what is read between a heading of the second level and the next one."""
    [after] = re.findall(
        rf'- heading "{re.escape(heading)}" \[level=2\](.*?)(?=- heading "[^"]*" \[level=2\]|\Z)',
        text,
        re.DOTALL,
    )
    return str(after)


@pytest.mark.parametrize("keyboard", VIEWS, ids=ids, indirect=True)
def test_whom_to_speak_with_and_why(keyboard: tuple[Keyboard, str, str]) -> None:
    """Each name stands with a sentence."""
    person, _, course = keyboard
    rows = person.visit.answer("today", **asked(person.visit, course))["rows"]
    [speak] = [row for row in rows if row["kind"] == "speak"]
    read = person.reads()
    for name in speak["student_names"]:
        reason = re.search(rf'- link "{re.escape(name)}":\n.*?\n\s+- text: (.+)', read)
        assert reason is not None, (name, read)
        assert re.search(r"[.。]$", reason[1].strip('"')), reason[1]
    assert person.interactions == 0


@pytest.mark.parametrize("keyboard", OTHER_VIEWS, ids=ids, indirect=True)
def test_which_point_to_repeat_and_with_whom(keyboard: tuple[Keyboard, str, str]) -> None:
    person, _, course = keyboard
    rows = person.visit.answer("today", **asked(person.visit, course))["rows"]
    [repeat] = [row for row in rows if row["kind"] == "repeat"]
    assert repeat["name"] in person.reads()
    person.open("#point?")
    read = person.reads()
    assert repeat["name"] in read
    for name in repeat["student_names"]:
        assert f'link "{name}"' in read
    assert person.interactions == 1


@pytest.mark.parametrize("keyboard", VIEWS, ids=ids, indirect=True)
def test_who_has_not_handed_in_a_quiz(keyboard: tuple[Keyboard, str, str]) -> None:
    """The examples have no due dates, so the API's answer is made up: three students have not handed in a quiz."""
    person, language, course = keyboard
    given = asked(person.visit, course)
    answer = missing_tasks(person.visit)
    roster = person.visit.answer("roster", **given)["rows"]
    names = {row["student"]: row["name"] or row["student"] for row in roster}
    quiz = answer["rows"][-1]
    answer["rows"] = [quiz]
    quiz["missing"] = sorted(names)[:3]
    quiz["not_handed_in"] = len(quiz["missing"])
    answer_with(person.visit, "handed-in", answer)
    person.land(language, course)
    heading = {"en": "Not handed in", "zh": "未提交"}[language]
    read = part_after(person.reads(), heading)
    assert quiz["name"] in read
    listed = re.findall(r'- link "([^"]+)":\n\s+- /url: "#student', read)
    assert sorted(listed) == sorted(names[student] for student in quiz["missing"])
    assert person.interactions == 0


@pytest.mark.parametrize(("language", "size"), [("en", 390), ("zh", 820)])
def test_last_weeks_gradebook_to_its_class(
    visit_demo: Visitor, language: str, size: int, tmp_path: Path
) -> None:
    """Canvas writes the course into the name of the file. The box says that the points are right."""
    course = f"TASK{size}"
    gradebook = tmp_path / f"2026-05-08T0815_Grades-{course}.csv"
    gradebook.write_text(GRADEBOOK)
    person = Keyboard(visit_demo, size)
    person.land(language, "ALG")
    person.open("#imports?")
    person.choose(gradebook)
    person.use("#points-accepted", "Space")
    person.use(".start", "Enter")
    ended(person.page, "succeeded")
    person.open("#overview?course=TASK")
    read = person.reads()
    assert person.page.locator("header select[name=course]").input_value() == course
    assert visit_demo.answer("weak-points", course=course)["of_how_many"]["students"] == 3
    assert "- heading" in read
    assert person.interactions == MOST_INTERACTIONS


@pytest.mark.parametrize("keyboard", OTHER_VIEWS, ids=ids, indirect=True)
def test_whether_a_course_is_harder_for_the_same_students(
    keyboard: tuple[Keyboard, str, str],
) -> None:
    """The key Down chooses the first other course, and the page answers in a sentence with the students of both."""
    person, _, course = keyboard
    person.open("#overview?")
    person.use("select[name=other]", "ArrowDown")
    person.visit.ready()
    other = person.page.locator("select[name=other]").input_value()
    given = asked(person.visit, course) | {"other": other}
    rows = person.visit.answer("difficulty", **given)["rows"]
    [row] = [each for each in rows if each["course"] == course]
    sentence = person.page.locator("[data-part=compare] .lead").inner_text()
    assert re.search(r"[.。]$", sentence)
    assert str(row["students_of_both"]) in sentence
    assert sentence in person.reads()
    assert person.interactions == 2
