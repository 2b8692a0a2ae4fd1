"""Counts the prerequisites that the offline rules find in textbooks. `make prerequisites-check BOOKS=folder`.

The folder has checkouts of the repositories `openstax/osbooks-*`. Each module of a book is a text of a course whose
points are the titles of the book's modules and its key terms. Some books have readiness quizzes, whose links lead
from a module to the modules that it needs. These links are what the books themselves say:

- Recall is the share of the links for which the rules state a prerequisite in the module of the link.
- A stated prerequisite is confirmed if a link leads from its module to a module that has the required point.
- The command prints each stated prerequisite, since a person must judge those that no link confirms.
- Questions follow what words of two different modules state. Where the curriculum is known, they follow the links as
  well. The command prints which share of the followed prerequisites a link confirms, for both cases, and exits with 1
  if one of them misses its goal. A book whose modules have no links confirms nothing, so it is left out.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from edugraph_analyzer.rule_based.cue_rules import Stated, prerequisites_in
from evaluation.statistics import share

_CNXML = "{http://cnx.rice.edu/cnxml}"
_MATHML = "{http://www.w3.org/1998/Math/MathML}"
_MODULE = re.compile(r'module document="(m\d+)"')
# The least share of followed prerequisites that links confirm, with the curriculum of a book and without one.
GOAL_WITH_CURRICULUM = 0.8
GOAL_WITHOUT = 0.5
# A prerequisite is followed if words of this many different texts state it.
FEWEST_TEXTS = 2
# Elements that end a line of text.
_BLOCKS = frozenset(
    f"{_CNXML}{name}" for name in ("para", "title", "item", "section", "note", "newline")
)


@dataclass(frozen=True)
class Module:
    """A module of a book: its text in lines, its points, and the modules that its readiness quiz names."""

    module_id: str
    title: str
    text: str
    terms: frozenset[str]
    needs: frozenset[str]


@dataclass
class Figures:
    """The counts of a book. `stated` has (title of the module, prerequisite, whether a link confirms it).

    `followed` maps each (point, required point) that words of two different modules state to whether a link of one of
    these modules confirms it.
    """

    modules: int = 0
    points: int = 0
    links: int = 0
    found_links: int = 0
    stated: list[tuple[str, Stated, bool]] = field(default_factory=list)
    followed: dict[tuple[str, str], bool] = field(default_factory=dict)


def read_module(module_id: str, data: bytes) -> Module:
    """Return a module from its CNXML. Raises ET.ParseError."""
    root = ET.fromstring(data)  # noqa: S314 - the files are chosen by who runs the command
    title = " ".join(root.findtext(f"{_CNXML}title", "").split())
    terms = {" ".join("".join(term.itertext()).split()) for term in root.iter(f"{_CNXML}term")}
    needs: set[str] = set()
    for note in root.iter(f"{_CNXML}note"):
        if "be-prepared" in note.get("class", ""):
            needs |= {link.get("document", "") for link in note.iter(f"{_CNXML}link")}
    lines = "".join(_pieces(root)).splitlines()
    text = "\n".join(" ".join(line.split()) for line in lines if line.strip())
    return Module(module_id, title, text, frozenset(terms - {""}), frozenset(needs - {""}))


def _pieces(element: ET.Element) -> Iterator[str]:
    """Yield the text of an element, with a line end around each block. A formula is one word without letters."""
    if element.tag.startswith(_MATHML):
        yield " … "
        return
    if element.tag in _BLOCKS:
        yield "\n"
    yield element.text or ""
    for inner in element:
        yield from _pieces(inner)
        yield inner.tail or ""
    if element.tag in _BLOCKS:
        yield "\n"


def check(modules: Iterable[Module]) -> Figures:
    """Return what the rules state in the modules of one book."""
    book = {module.module_id: module for module in modules}
    known = list(dict.fromkeys(each.title for each in book.values()))
    for module in book.values():
        known += sorted(module.terms)
    known = [name for name in dict.fromkeys(known) if name]
    figures = Figures(modules=len(book), points=len(known))
    # pair -> the different texts that state it, and whether a link confirms it there
    texts: dict[tuple[str, str], dict[str, bool]] = {}
    for module in book.values():
        needed = [book[each] for each in module.needs if each in book]
        stated = prerequisites_in(module.text, known)
        confirmed_by: set[str] = set()
        for each in stated:
            by = {one.module_id for one in needed if _has_point(one, each.requires)}
            confirmed_by |= by
            figures.stated.append((module.title, each, bool(by)))
            letters = "".join(filter(str.isalnum, module.text.casefold()))
            texts.setdefault((each.point, each.requires), {})[letters] = bool(by)
        figures.links += len(needed)
        figures.found_links += len(confirmed_by)
    for pair, said in texts.items():
        if len(said) >= FEWEST_TEXTS:
            figures.followed[pair] = any(said.values())
    return figures


def _has_point(module: Module, name: str) -> bool:
    return name == module.title or name in module.terms


def books_in(folder: Path) -> Iterator[tuple[str, list[Module]]]:
    """Yield the name and the modules of each book in the checkouts of a folder."""
    for collection in sorted(folder.glob("*/collections/*.collection.xml")):
        modules: list[Module] = []
        for module_id in _MODULE.findall(collection.read_text(encoding="utf-8")):
            path = collection.parents[1] / "modules" / module_id / "index.cnxml"
            if path.is_file():
                modules.append(read_module(module_id, path.read_bytes()))
        yield collection.name.removesuffix(".collection.xml"), modules


def print_figures(found: Mapping[str, Figures]) -> None:
    heads = f"{'modules':>9}{'points':>8}{'stated':>8}{'confirmed':>11}{'links':>7}{'found':>7}"
    print(f"{'book':<44}{heads}")
    for name, figures in found.items():
        confirmed = sum(1 for _, _, is_confirmed in figures.stated if is_confirmed)
        numbers = f"{figures.modules:>9}{figures.points:>8}{len(figures.stated):>8}{confirmed:>11}"
        print(f"{name:<44}{numbers}{figures.links:>7}{figures.found_links:>7}")
    links = sum(each.links for each in found.values())
    found_links = sum(each.found_links for each in found.values())
    if links:
        recall = share(found_links, links)
        interval = f"{recall.low:.3f} to {recall.high:.3f}"
        print(f"recall of links: {found_links} of {links}, {recall.seen:.3f} ({interval})")
    for name, figures in found.items():
        for title, stated, is_confirmed in figures.stated:
            mark = "confirmed" if is_confirmed else "to be judged"
            pair = f"{stated.point!r} needs {stated.requires!r}"
            print(f"{name} · {title}: {pair} ({mark}): {stated.words}")


def print_followed(found: Mapping[str, Figures]) -> bool:
    """Print the share of the followed prerequisites that links confirm, and return whether no goal is missed."""
    with_links = [figures for figures in found.values() if figures.links]
    links = sum(each.links for each in with_links)
    followed = sum(len(each.followed) for each in with_links)
    confirmed = sum(sum(each.followed.values()) for each in with_links)
    cases = (
        ("with the curriculum known", links + confirmed, links + followed, GOAL_WITH_CURRICULUM),
        ("without a curriculum", confirmed, followed, GOAL_WITHOUT),
    )
    is_reached = True
    for case, right, all_followed, goal in cases:
        if not all_followed:
            print(f"followed {case}: none, so there is no precision (goal {goal})")
            continue
        precision = share(right, all_followed)
        interval = f"{precision.low:.3f} to {precision.high:.3f}"
        print(
            f"followed {case}: {right} of {all_followed} confirmed, "
            f"{precision.seen:.3f} ({interval}), goal {goal}"
        )
        is_reached = is_reached and precision.seen >= goal
    print(
        "The links are the curriculum, so they confirm themselves; only the texts can add what is wrong."
    )
    return is_reached


def main() -> int:
    parser = argparse.ArgumentParser(prog="make prerequisites-check", description=__doc__)
    parser.add_argument("folder", type=Path, help="checkouts of openstax/osbooks-*")
    folder = parser.parse_args().folder
    found = {name: check(modules) for name, modules in books_in(folder)}
    if not found:
        print(f"{folder} has no checkout with collections/*.collection.xml", file=sys.stderr)
        return 2
    print_figures(found)
    return 0 if print_followed(found) else 1


if __name__ == "__main__":
    sys.exit(main())
