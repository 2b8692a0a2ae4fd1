"""`make privacy-page`: writes the inventory of docs/privacy.md in both languages from the registry of personal data.

`--check` writes nothing and fails if a page is not current.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

from edugraph_common.contracts.personal_data import PLACES, DataPlace, Words

DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- inventory: made by `make privacy-page` -->\n", "<!-- end of the inventory -->\n"


class Language(NamedTuple):
    page: Path
    phrase: int  # which of Words
    head: str
    levels: dict[str, str]
    none: str

    def say(self, words: Words) -> str:
        return words[self.phrase]


ENGLISH = Language(
    DOCS / "privacy.md",
    0,
    "| Place | Personal | Holds | Why | Kept | Ends by | Eraser | Exporter | Left by an erasure, and why |",
    {"personal": "yes", "pseudonymous": "pseudonymous", "none": "no"},
    "–",
)
CHINESE = Language(
    DOCS / "privacy.zh-CN.md",
    1,
    "| 位置 | 个人数据 | 内容 | 用途 | 保留多久 | 由何结束 | 删除者 | 导出者 | 删除后留下什么及原因 |",
    {"personal": "是", "pseudonymous": "假名", "none": "否"},
    "–",
)


def inventory(language: Language) -> str:
    rule = "| --- " * (language.head.count("|") - 1) + "|"
    return "\n".join([language.head, rule, *(_row(language, place) for place in PLACES)]) + "\n"


def page(language: Language) -> str:
    """Return the page with the current inventory. Raises ValueError if the page has no markers for it."""
    text = language.page.read_text(encoding="utf-8")
    found = re.fullmatch(f"(.*{re.escape(BEGIN)}).*({re.escape(END)}.*)", text, re.DOTALL)
    if not found:
        raise ValueError(f"{language.page.name} has no place for the inventory: {BEGIN.strip()}")
    return f"{found[1]}\n{inventory(language)}\n{found[2]}"


def _row(language: Language, place: DataPlace) -> str:
    def code(text: str | None) -> str:
        return f"`{text}`" if text else language.none

    where = "<br>".join(code(pattern) for pattern in place.patterns)
    cells = (
        f"**{place.store}** {where}",
        language.levels[place.level],
        language.say(place.holds),
        language.say(place.purpose),
        language.say(place.kept),
        code(place.retention),
        code(place.eraser),
        code(place.exporter),
        language.say(place.left) if place.left else language.none,
    )
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Write the inventory of personal data into the pages."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a page is not current"
    )
    check = parser.parse_args().check
    stale = [
        each for each in (ENGLISH, CHINESE) if page(each) != each.page.read_text(encoding="utf-8")
    ]
    for language in stale:
        if not check:
            language.page.write_text(page(language), encoding="utf-8")
        print(
            f"{language.page.name} {'is not current; run: make privacy-page' if check else 'is written'}"
        )
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
