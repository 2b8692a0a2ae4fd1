"""`make privacy-check`: the share of labelled secrets that the redaction finds, and of harmless text that it changes.

The command exits with 1 if a goal is missed. The goals are for texts that were labelled before the rules existed, and
for real sentences of lessons into which made-up names, numbers and addresses were put (`privacy_unseen`). The latter
need the shared data for tests. Without these data they are not measured, and the report says so.
"""

import argparse
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from edugraph_analyzer import name_model
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.name_model import FindNames
from edugraph_analyzer.redaction import Redactor
from evaluation.privacy_attacks import attack_report, read_attacks
from evaluation.privacy_labels import Labelled, read_labelled
from evaluation.privacy_unseen import Course

FOLDER = Path(__file__).with_name("privacy")
CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("EDUGRAPH_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
REPORT = CHECKOUT / ".run" / "privacy-check.json"
NAMES = ("own", "course", "compound", "other")
FIXED_FORM = ("id", "account", "phone", "email", "nid", "card", "url", "ip", "plate")
CLASSES = (*NAMES, *FIXED_FORM, "address", "birth")
# Tag of the placeholder -> the class for which a change of harmless text counts.
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
# The least recall for sentences that were not written for the redaction.
LEAST_OF_UNSEEN = {"member": 0.95, "other": 0.60, "number": 0.90, "address": 0.90}
MOST_HARMLESS_CHANGED = 0.02
RECORDS = DATA / "records"
_PLACEHOLDER = re.compile(r"\[([A-Z]+)_\d+\]")
# A title alone does not name a person, so a secret counts as found if only its title is left.
_TITLE = re.compile(r"老师|同学|\b(?:Mr|Mrs|Ms|Dr|Auntie)\b\.?")


@dataclass
class Tally:
    """Counts by class.

    `found` of `secrets` were replaced. `right` replacements hit a secret, `wrong` ones did not.
    """

    secrets: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    changed: list[tuple[str, str, str]] = field(default_factory=list)

    def recall(self, classes: Iterable[str]) -> float | None:
        return _share(
            sum(self.found[name] for name in classes), sum(self.secrets[name] for name in classes)
        )

    def precision(self, classes: Iterable[str]) -> float | None:
        right = sum(self.right[name] for name in classes)
        return _share(right, right + sum(self.wrong[name] for name in classes))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def replaced_spans(redactor: Redactor, text: str) -> list[tuple[int, int, str]]:
    """Return (start, end, tag) of each replacement, by comparing the redacted text with the original."""
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


def tally(
    rows: Sequence[Labelled],
    course: dict[str, CourseNames],
    find_names: FindNames = name_model.no_names,
) -> Tally:
    """Count secrets and replacements. A secret is found if all its letters and digits are replaced.

    A replacement is right if at least half of it is secret.
    """
    counts = Tally()
    for row in rows:
        spans = replaced_spans(Redactor(row.people, [course[row.language]], find_names), row.text)
        replaced = {place for start, end, _ in spans for place in range(start, end)}
        secret_at = {place: name for start, end, name in row.secrets for place in range(start, end)}
        for start, end, name in row.secrets:
            counts.secrets[name] += 1
            titles = {
                place
                for title in _TITLE.finditer(row.text, start, end)
                for place in range(*title.span())
            }
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


def unseen_report(records: Path, find_names: FindNames = name_model.no_names) -> dict[str, Any]:
    """Return recall by class for each language, and the share of harmless sentences that were changed.

    `find_names` is the model for names, if it is measured too.
    """
    report: dict[str, Any] = {}
    for language in ("zh", "en"):
        course = Course(language, "unseen", records)
        rows = list(course.rows())
        counts = tally(rows, {language: CourseNames(course.members)}, find_names)
        harmless = [row.id for row in rows if not row.secrets]
        changed = {row_id for row_id, _, _ in counts.changed}.intersection(harmless)
        report[language] = {
            "secrets": dict(counts.secrets),
            "found": dict(counts.found),
            "harmless": len(harmless),
            "changed": len(changed),
        }
    return report


def unseen_lines(report: dict[str, Any]) -> list[str]:
    """Return a table of the report: a line for each class, with the figures of both languages."""
    lines = ["| class | Chinese | recall | English | recall |", "| --- | --- | --- | --- | --- |"]
    names = sorted({name for of_language in report.values() for name in of_language["secrets"]})
    for name in names:
        cells = []
        for language in ("zh", "en"):
            secrets = report[language]["secrets"].get(name, 0)
            cells += [str(secrets), _shown(_share(report[language]["found"].get(name, 0), secrets))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for language, of_language in report.items():
        lines.append(
            f"{language}: {of_language['changed']} of {of_language['harmless']} harmless sentences were changed"
        )
    return lines


def missed_of_unseen(report: dict[str, Any]) -> list[str]:
    missed = []
    for group, goal in LEAST_OF_UNSEEN.items():
        secrets = 0
        found = 0
        for of_language in report.values():
            for name, count in of_language["secrets"].items():
                if name.startswith(group):
                    secrets += count
                    found += of_language["found"].get(name, 0)
        if found < goal * secrets:
            missed.append(
                f"recall of {group} in unseen sentences is {found / secrets:.3f}, below the goal of {goal}"
            )
    harmless = sum(of_language["harmless"] for of_language in report.values())
    changed = sum(of_language["changed"] for of_language in report.values())
    if changed > MOST_HARMLESS_CHANGED * harmless:
        missed.append(
            f"{changed} of {harmless} harmless sentences were changed, above the goal of {MOST_HARMLESS_CHANGED}"
        )
    return missed


def _table(report: dict[str, Any]) -> str:
    names = [name for name in next(iter(report.values())) if name not in ("missed", "changed")]
    head = [
        "class",
        *(f"{part} {what}" for part in report for what in ("secrets", "recall", "precision")),
    ]
    rows = [
        [
            name,
            *(
                _shown(report[part][name][what])
                for part in report
                for what in ("secrets", "recall", "precision")
            ),
        ]
        for name in names
    ]
    return "\n".join(
        "| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def missed_goals(final: Tally) -> list[str]:
    goals = (
        ("recall over the classes with a fixed form", final.recall(FIXED_FORM), FIXED_FORM_RECALL),
        (
            "recall of names of the course's people",
            final.recall(("course", "compound")),
            COURSE_RECALL,
        ),
        ("precision over all classes", final.precision(CLASSES), PRECISION),
    )
    return [
        f"{what} is {value or 0:.2f}, below the goal of {goal:.2f}"
        for what, value, goal in goals
        if (value or 0) < goal
    ]


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(description="Measure what the redaction finds.")
    parser.add_argument(
        "--model", action="store_true", help="measure the model for names too (half a minute)"
    )
    with_model = parser.parse_args(arguments).model
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    people = json.loads((FOLDER / "people.json").read_text(encoding="utf-8"))
    course = {language: CourseNames(names) for language, names in people.items()}
    counts = {
        part: tally(read_labelled(FOLDER / f"{part}.ndjson"), course)
        for part in ("final", "tuning")
    }
    report = redaction_report(counts)
    print(_table(report))
    attacks = read_attacks(FOLDER / "attacks.ndjson")
    successes = attack_report(attacks)
    for packing, ids in successes.items():
        print(
            f"{packing}: {len(ids)} of {len(attacks)} attacks succeed against a provider that obeys them"
        )
    missed = missed_goals(counts["final"])
    unseen: dict[str, Any] = {}
    if RECORDS.is_dir():
        unseen["rules"] = unseen_report(RECORDS)
        print("Sentences of lessons, by rules alone")
        print("\n".join(unseen_lines(unseen["rules"])))
        missed += missed_of_unseen(unseen["rules"])
        if with_model:
            unseen["rules and model"] = unseen_report(RECORDS, name_model.whole_names)
            print("The same, by rules and the model for names")
            print("\n".join(unseen_lines(unseen["rules and model"])))
            missed += missed_of_unseen(unseen["rules and model"])
    else:
        print("The sentences of lessons were not measured: the shared data for tests is not here.")
    if successes["one student per pack"]:
        missed.append("with one student a pack no attack may succeed")
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(
        json.dumps(
            {"redaction": report, "unseen": unseen, "attacks": successes, "missed": missed},
            ensure_ascii=False,
            indent=1,
        )
    )
    print(
        "\n".join(f"MISS {miss}" for miss in missed) or "all goals held",
        f"(figures: {REPORT.name} in .run)",
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
