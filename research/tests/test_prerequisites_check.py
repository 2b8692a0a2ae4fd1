"""The command counts what the rules state in a book, and what the links of its readiness quizzes say."""

from pathlib import Path

import pytest

from evaluation import prerequisites_check
from evaluation.prerequisites_check import (
    Figures,
    books_in,
    check,
    print_figures,
    print_followed,
)

MODULE = """<document xmlns="http://cnx.rice.edu/cnxml" xmlns:m="http://www.w3.org/1998/Math/MathML">
<title>{title}</title>
<content>
<note class="be-prepared"><para>If you missed this problem, review {links}.</para></note>
<para>{text} <m:math><m:mi>x</m:mi></m:math></para>
</content>
</document>"""
LINK = '<link document="{module_id}" target-id="a"/>'
COLLECTION = "<collection>{modules}</collection>"


def write_book(folder: Path, modules: dict[str, tuple[str, str, tuple[str, ...]]]) -> None:
    """Write a checkout with one book. `modules` has the title, the text and the needed modules of each id."""
    named = []
    for module_id, (title, text, needed) in modules.items():
        links = "".join(LINK.format(module_id=each) for each in needed)
        path = folder / "osbooks-made" / "modules" / module_id / "index.cnxml"
        path.parent.mkdir(parents=True)
        path.write_text(MODULE.format(title=title, text=text, links=links), encoding="utf-8")
        named.append(f'<col:module document="{module_id}"/>')
    collections = folder / "osbooks-made" / "collections"
    collections.mkdir()
    book = COLLECTION.format(modules="".join(named))
    (collections / "made.collection.xml").write_text(book, encoding="utf-8")


def test_links_are_found_confirmed_and_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out: the comparison with the links, or the count of those that no prerequisite meets."""
    write_book(
        tmp_path,
        {
            "m1": ("Fractions", "A <term>numerator</term> is above.", ()),
            "m2": ("Ratios", "Ratios are based on fractions.", ("m1",)),
            "m3": ("Slopes", "Slopes are based on ratios.", ("m1", "m9")),
            "m4": ("Rates", "Before learning rates, you need to know the numerator.", ("m1",)),
        },
    )
    [(name, modules)] = books_in(tmp_path)
    figures = check(modules)
    assert (name, figures.modules, figures.points, figures.links) == ("made", 4, 5, 3)
    told = [(each.point, each.requires, by_link) for _, each, by_link in figures.stated]
    assert told == [
        ("Ratios", "Fractions", True),
        ("Slopes", "Ratios", False),
        ("Rates", "numerator", True),
    ]
    assert figures.found_links == 2
    print_figures({name: figures})
    shown = capsys.readouterr().out
    assert "recall of links" in shown
    assert shown.count("(to be judged)") == 1


def test_a_folder_without_books_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["prerequisites-check", str(tmp_path)])
    assert prerequisites_check.main() == 2


def test_what_two_different_modules_state_is_followed(tmp_path: Path) -> None:
    """Out: the number of texts in `check`, or their letters in place of their ids."""
    text = "Slopes are based on ratios."
    write_book(
        tmp_path,
        {
            "m1": ("Ratios", "A ratio.", ()),
            "m2": ("Slopes", f"{text} Rates are based on ratios.", ("m1",)),
            "m3": ("Rates", f"{text} Lines follow.", ()),
            "m4": ("Lines", "Lines are based on rates.", ()),
            "m5": ("Lines", "LINES are based on rates!", ()),
        },
    )
    [(_, modules)] = books_in(tmp_path)
    # Two modules with the same letters are copies. Their titles and quizzes are the same, too.
    assert check(modules).followed == {("Slopes", "Ratios"): True}


@pytest.mark.parametrize(
    ("followed", "is_reached"),
    [({}, True), ({"a": True, "b": False}, True), ({"a": True, "b": False, "c": False}, False)],
)
def test_a_goal_that_is_missed_is_told(
    followed: dict[str, bool], is_reached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out: the comparison with the goal."""
    pairs = {(point, "z"): is_confirmed for point, is_confirmed in followed.items()}
    found = {"with links": Figures(links=8, followed=pairs), "without": Figures(followed=pairs)}
    assert print_followed(found) == is_reached
    shown = capsys.readouterr().out
    right = sum(followed.values())
    assert f"curriculum known: {8 + right} of {8 + len(followed)} confirmed" in shown
    assert ("without a curriculum: none" in shown) == (not followed)
