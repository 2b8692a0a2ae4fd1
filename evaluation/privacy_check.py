"""`make privacy-check`: what the redaction finds of labelled secrets, and what it changes that is no secret.

It exits with 1 if a goal is missed. The goals hold for the texts that were labelled before the rules existed.
"""

import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from edugraph_analyzer.documents import Person
from edugraph_analyzer.private_names import CourseNames
from edugraph_analyzer.redaction import Redactor
from evaluation.privacy_attacks import attack_report, read_attacks

FOLDER = Path(__file__).with_name("privacy")
REPORT = Path(__file__).resolve().parent.parent / ".run" / "privacy-check.json"
NAMES = ("own", "course", "compound", "other")
FIXED_FORM = ("id", "account", "phone", "email", "nid", "card", "url", "ip", "plate")
CLASSES = (*NAMES, *FIXED_FORM, "address", "birth")
# The class to which a change of a harmless text is counted, by the placeholder that was put in its place.
CLASS_OF_TAG = {
    "STUDENT": "own",
    "TEACHER": "own",
    "PERSON": "course",
    "STUDENTID": "id",
    "ACCOUNT": "account",
    "PHONE": "phone",
    "EMAIL": "email",
    "IDNUMBER": "nid",
    "CARD": "card",
    "URL": "url",
    "IP": "ip",
    "PLATE": "plate",
    "ADDRESS": "address",
    "BIRTHDATE": "birth",
}
FIXED_FORM_RECALL, COURSE_RECALL, PRECISION = 0.90, 0.70, 0.95
_MARK = re.compile(r"\[\[(\w+)\|(.*?)\]\]")
_PLACEHOLDER = re.compile(r"\[([A-Z]+)_\d+\]")
# A title alone names nobody, so a secret is found without it.
_TITLE = re.compile(r"老师|同学|\b(?:Mr|Mrs|Ms|Dr|Auntie)\b\.?")


@dataclass(frozen=True)
class Labelled:
    """A text and its secrets as (start, end, class)."""

    id: str
    language: str
    people: tuple[Person, ...]
    text: str
    secrets: tuple[tuple[int, int, str], ...]


@dataclass
class Tally:
    """`found` of `secrets` were replaced; of the replacements, `right` fell on a secret and `wrong` on other text."""

    secrets: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    changed: list[tuple[str, str, str]] = field(default_factory=list)

    def recall(self, classes: Iterable[str]) -> float | None:
        return _share(sum(self.found[name] for name in classes), sum(self.secrets[name] for name in classes))

    def precision(self, classes: Iterable[str]) -> float | None:
        right = sum(self.right[name] for name in classes)
        return _share(right, right + sum(self.wrong[name] for name in classes))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def read_labelled(path: Path) -> list[Labelled]:
    return [_labelled(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def _labelled(row: dict[str, Any]) -> Labelled:
    people = [Person("STUDENT", name, is_name=True) for name in row.get("own", ())]
    if "student_id" in row:
        people.append(Person("STUDENT", row["student_id"], is_name=False))
    pieces: list[str] = []
    secrets = []
    last = length = 0
    for mark in _MARK.finditer(row["text"]):
        before = row["text"][last : mark.start()]
        start = length + len(before)
        length = start + len(mark[2])
        pieces += [before, mark[2]]
        secrets.append((start, length, mark[1]))
        last = mark.end()
    text = "".join([*pieces, row["text"][last:]])
    return Labelled(row["id"], row["language"], tuple(people), text, tuple(secrets))


def replaced_spans(redactor: Redactor, text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, tag) of what was replaced, by walking the redacted text beside the original."""
    redacted = redactor.redact(text)
    spans = []
    shift = 0
    for found in _PLACEHOLDER.finditer(redacted):
        if found[0] in redactor.originals:
            original = redactor.originals[found[0]]
            start = found.start() + shift
            spans.append((start, start + len(original), found[1]))
            shift += len(original) - len(found[0])
    return spans


def tally(rows: Sequence[Labelled], course: dict[str, CourseNames]) -> Tally:
    """A secret is found if all its letters and digits are replaced; half of a replacement must be secret."""
    counts = Tally()
    for row in rows:
        spans = replaced_spans(redactor_of(row, course), row.text)
        replaced = {place for start, end, _ in spans for place in range(start, end)}
        secret_at = {place: name for start, end, name in row.secrets for place in range(start, end)}
        for start, end, name in row.secrets:
            counts.secrets[name] += 1
            titles = {place for title in _TITLE.finditer(row.text, start, end) for place in range(*title.span())}
            needed = {place for place in range(start, end) if row.text[place].isalnum()} - titles
            if needed <= replaced:
                counts.found[name] += 1
            else:
                counts.missed.append((row.id, name, row.text[start:end]))
        for start, end, tag in spans:
            written = [place for place in range(start, end) if row.text[place].isalnum()]
            inside = [secret_at[place] for place in written if place in secret_at]
            if 2 * len(inside) >= len(written) and inside:
                counts.right[Counter(inside).most_common(1)[0][0]] += 1
            else:
                counts.wrong[CLASS_OF_TAG[tag]] += 1
                counts.changed.append((row.id, tag, row.text[start:end]))
    return counts


def redactor_of(row: Labelled, course: dict[str, CourseNames]) -> Redactor:
    return Redactor(row.people, [course[row.language]])


def redaction_report(counts: dict[str, Tally]) -> dict[str, Any]:
    groups = {**{name: (name,) for name in CLASSES}, "fixed form": FIXED_FORM, "all": CLASSES}
    return {
        part: {
            **{
                name: {
                    "secrets": sum(tallied.secrets[each] for each in group),
                    "recall": tallied.recall(group),
                    "precision": tallied.precision(group),
                }
                for name, group in groups.items()
            },
            "missed": tallied.missed,
            "changed": tallied.changed,
        }
        for part, tallied in counts.items()
    }


def _table(report: dict[str, Any]) -> str:
    names = [name for name in next(iter(report.values())) if name not in ("missed", "changed")]
    head = ["class", *(f"{part} {what}" for part in report for what in ("secrets", "recall", "precision"))]
    rows = [
        [name, *(_shown(report[part][name][what]) for part in report for what in ("secrets", "recall", "precision"))]
        for name in names
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def missed_goals(final: Tally) -> list[str]:
    goals = (
        ("recall over the classes with a fixed form", final.recall(FIXED_FORM), FIXED_FORM_RECALL),
        ("recall of names of the course's people", final.recall(("course", "compound")), COURSE_RECALL),
        ("precision over all classes", final.precision(CLASSES), PRECISION),
    )
    return [
        f"{what} is {value or 0:.2f}, below the goal of {goal:.2f}"
        for what, value, goal in goals
        if (value or 0) < goal
    ]


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    people = json.loads((FOLDER / "people.json").read_text(encoding="utf-8"))
    course = {language: CourseNames(names) for language, names in people.items()}
    counts = {part: tally(read_labelled(FOLDER / f"{part}.ndjson"), course) for part in ("final", "tuning")}
    report = redaction_report(counts)
    print(_table(report))
    attacks = read_attacks(FOLDER / "attacks.ndjson")
    successes = attack_report(attacks)
    for packing, ids in successes.items():
        print(f"{packing}: {len(ids)} of {len(attacks)} attacks succeed against a provider that obeys them")
    missed = missed_goals(counts["final"])
    if successes["one student per pack"]:
        missed.append("with one student a pack no attack may succeed")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(
        json.dumps({"redaction": report, "attacks": successes, "missed": missed}, ensure_ascii=False, indent=1)
    )
    print("\n".join(f"MISS {miss}" for miss in missed) or "all goals held", f"(figures: {REPORT.name} in .run)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
