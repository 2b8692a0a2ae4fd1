"""Links of the pages lead to places of the site. MkDocs itself finds broken ones (`make docs`)."""

import re
from pathlib import Path

import pytest
import yaml

from dev.site import hooks

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "docs/index.md": "index.md",
    "docs/runbook.md": "runbook.md",
    "docs/adr/0001-windows-of-chords.md": "adr/0001-windows-of-chords.md",
    "docs/images/class.png": "images/class.png",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
}
REPOSITORY = "https://host.example/o/r/blob/main"


@pytest.mark.parametrize(
    ("origin", "markdown", "plain", "with_repository"),
    [
        # Pages of the site, from each place to each place.
        ("docs/index.md", "[a](runbook.md#x-y)", "[a](runbook.md#x-y)", None),
        ("docs/index.md", "[a](../SECURITY.md)", "[a](project/security.md)", None),
        ("SECURITY.md", "[a](docs/runbook.md#b)", "[a](../runbook.md#b)", None),
        ("SECURITY.md", "[a](CHANGELOG.md)", "[a](changelog.md)", None),
        (
            "docs/adr/0001-windows-of-chords.md",
            "[a](../../SECURITY.md)",
            "[a](../project/security.md)",
            None,
        ),
        (
            "docs/adr/0001-windows-of-chords.md",
            "![p](../images/class.png)",
            "![p](../images/class.png)",
            None,
        ),
        # Other files of the repository.
        ("docs/index.md", "[a](../deploy/k8s) b", "a b", f"[a]({REPOSITORY}/deploy/k8s) b"),
        ("docs/index.md", "[`a`](../Makefile)", "`a`", f"[`a`]({REPOSITORY}/Makefile)"),
        ("SECURITY.md", "[a](Makefile)", "a", f"[a]({REPOSITORY}/Makefile)"),
        # Links to nothing stay, so that MkDocs warns.
        ("docs/index.md", "[a](gone.md)", "[a](gone.md)", None),
        ("docs/index.md", "[a](../gone/at.py)", "[a](../gone/at.py)", None),
        ("docs/index.md", "[a](../../../etc/passwd)", "[a](../../../etc/passwd)", None),
        # Addresses, anchors and code are left alone.
        ("docs/index.md", "[a](https://e.example/x.md) [b](#c) [d](mailto:a@b)", None, None),
        ("docs/index.md", "`[a](../Makefile)` and ``[`b`](../Makefile)``", None, None),
        ("docs/index.md", "```\n[a](../Makefile)\n```\n", None, None),
        (
            "docs/index.md",
            "x `a` [b](../Makefile) `c`",
            "x `a` b `c`",
            f"x `a` [b]({REPOSITORY}/Makefile) `c`",
        ),
        ("docs/index.md", "[a [b] c](../Makefile)", "a [b] c", f"[a [b] c]({REPOSITORY}/Makefile)"),
    ],
)
def test_a_link_leads_to_its_place(
    origin: str, markdown: str, plain: str | None, with_repository: str | None
) -> None:
    place = PAGES[origin]
    expected = markdown if plain is None else plain
    assert hooks.with_links(markdown, origin, place, PAGES, "") == expected
    expected = expected if with_repository is None else with_repository
    assert hooks.with_links(markdown, origin, place, PAGES, REPOSITORY) == expected


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("text\n- a\n- b", "text\n\n- a\n- b"),
        ("text:\n1. a\n2. b", "text:\n\n1. a\n2. b"),
        ("text\n\n- a", "text\n\n- a"),
        ("- a\n  more\n- b", "- a\n  more\n- b"),
        ("```\ntext\n- a\n```", "```\ntext\n- a\n```"),
        ("a -\nb", "a -\nb"),
    ],
)
def test_a_list_is_seen_as_one(markdown: str, expected: str) -> None:
    assert hooks.with_lists(markdown) == expected


def test_every_page_is_in_the_menu_once_and_in_its_order() -> None:
    """MkDocs says so as well; this says it without MkDocs, and says which chapters there are."""
    text = (ROOT / "dev/site/mkdocs.yml").read_text(encoding="utf-8")
    # The one tag of the file names a function of an extension.
    menu = yaml.safe_load(re.sub(r"!!python/\S+", "", text))["nav"]
    chapters = [name for part in menu for name in part]
    assert chapters == ["Start", "Guides", "Reference", "Operations", "Decisions", "中文"]
    places: list[str] = []
    for part in menu:
        for entries in part.values():
            places += [
                next(iter(each.values())) if isinstance(each, dict) else each for each in entries
            ]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    expected = [place for place in pages if not place.startswith("adr/0")]
    assert sorted(places) == sorted([*expected, *hooks.MORE_PAGES.values()])
    chinese = next(part["中文"] for part in menu if "中文" in part)
    assert all(next(iter(each.values())).endswith(".zh-CN.md") for each in chinese)
    assert [place for place in places if place.endswith(".zh-CN.md")] == places[-len(chinese) :]


def test_the_pages_of_other_folders_are_there() -> None:
    for origin in hooks.MORE_PAGES:
        assert (ROOT / origin).is_file()


def names_in(page: str) -> set[str]:
    """Return what stands as code in the sentences and tables of a page, without its blocks of code."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    sentences = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return {" ".join(name.split()) for name in re.findall(r"`([^`]+)`", sentences)}


@pytest.mark.parametrize(
    "page", ["data-model", "operations", "procurement", "runbook", "several-schools"]
)
def test_a_translated_page_has_all_names(page: str) -> None:
    """A field or a command that one language lacks is a page that is older than the other one."""
    assert names_in(f"{page}.zh-CN.md") == names_in(f"{page}.md")
