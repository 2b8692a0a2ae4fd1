"""Redaction: replace private words before a text is sent, and put the original words back into quotes from it.

Patterns are matched on a plain reading of the text (width, accents and invisible characters are normalised), so that
"ｚｈａｎｇ＠ｑｑ．ｃｏｍ" is an e-mail address too. `redact` replaces slices of the original text, and `restore` puts them
back. `private_names` and `private_forms` define which words are private. Callers of `redact` must check the length of
the text first, since it takes time in proportion to it.
"""

# ruff: noqa: E501 - texts and patterns are read as one line

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.name_model import FindNames, no_names
from edugraph_analyzer.plain_text import folded, readings_of
from edugraph_analyzer.private_forms import FORMS, Form, Needs, Span
from edugraph_analyzer.private_names import INTRODUCTIONS, own_names

TAGS = (
    "URL",
    "EMAIL",
    "ADDRESS",
    "STUDENT",
    "TEACHER",
    "IDNUMBER",
    "CARD",
    "PHONE",
    "ACCOUNT",
    "IP",
    "PLATE",
    "BIRTHDATE",
    "STUDENTID",
    "PERSON",
)
# The order of the tags does not matter, since no letter follows a tag in the two patterns below.
_TAG = "|".join(TAGS)
_PLACEHOLDER = re.compile(
    rf"(?:[\[【(（<]\s?)?\b({_TAG})[_ ](\d{{1,5}})(?!\d)(?:\s?[\]】)）>])?", re.IGNORECASE
)
_OWN_MARK = re.compile(rf"(?:{_TAG})_\d{{1,5}}", re.IGNORECASE)


@dataclass
class Redactor:
    """Redacts the texts of one record.

    The same words get the same placeholder. Placeholders are numbered in the order in which their words first appear,
    so that a text which two students sent is one text in the cache. `originals` has the words of each placeholder.
    `members` has the names of the people of each course of the record. `find_names` finds names of people on no list.
    """

    people: tuple[Person, ...]
    members: Sequence[CourseNames] = ()
    find_names: FindNames = no_names
    originals: dict[str, str] = field(default_factory=dict)
    _placeholders: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def redact(self, text: str) -> str:
        """Return `text` with a placeholder such as [STUDENT_1] in the place of each private span."""
        private = list[Span]()
        for reading in readings_of(text):
            for start, end, tag in self._private_spans(reading.plain):
                private.append((reading.starts[start], reading.ends[end - 1], tag))
        spans = _merged(private)
        # A student may write [STUDENT_1]. Such a number is not used for a placeholder.
        taken = set[str]()
        if spans:
            taken = {mark.upper() for mark in _OWN_MARK.findall(text)}
        pieces = list[str]()
        done = 0  # the index in `text` up to which the text is in `pieces`
        for first, beyond, tag in spans:
            original = text[first:beyond]
            while (tag, original) not in self._placeholders:
                self._counts[tag] = self._counts.get(tag, 0) + 1
                name = f"{tag}_{self._counts[tag]}"
                if name not in taken:
                    self._placeholders[tag, original] = f"[{name}]"
                    self.originals[f"[{name}]"] = original
            pieces += [text[done:first], self._placeholders[tag, original]]
            done = beyond
        pieces.append(text[done:])
        return "".join(pieces)

    def restore(self, text: str) -> str:
        """Return a text with the original words of this record's placeholders. Other placeholders are left."""
        if not self.originals:
            return text

        def original(match: re.Match[str]) -> str:
            tag = match[1].upper()
            number = match[2]
            return self.originals.get(f"[{tag}_{number}]", match[0])

        return _PLACEHOLDER.sub(original, text)

    def _private_spans(self, plain: str) -> list[Span]:
        """Return start, end and tag of all private spans of a plain text. They may overlap."""
        lower = folded(plain)
        found = list(own_names(plain, lower, self.people))
        for names in self.members or (_course_of(self.people),):
            found += names.spans(plain)
        for form in _forms_that_may_match(Needs.met_by(plain)):
            found += form.spans(plain, lower)
        found += self.find_names(plain)
        return found


def _merged(spans: list[Span]) -> list[Span]:
    """Return spans in order and without overlaps.

    Overlapping spans become one, with the tag that comes first in TAGS, so that no private character is left.
    """
    merged: list[Span] = []
    for start, end, tag in sorted(spans):
        if not merged or start >= merged[-1][1]:
            merged.append((start, end, tag))
            continue
        start_before, end_before, tag_before = merged.pop()
        first_tag = min(tag, tag_before, key=TAGS.index)
        merged.append((start_before, max(end, end_before), first_tag))
    return merged


@lru_cache(maxsize=4_096)
def _course_of(people: tuple[Person, ...]) -> CourseNames:
    """Return the people of a record as the members of a course, for a record whose courses have no member list."""
    return CourseNames(person.value for person in people if person.is_name)


@lru_cache(maxsize=1_024)
def _forms_that_may_match(met: Needs) -> tuple[Form, ...]:
    """Return the forms that may match a text which meets these needs."""
    forms = list[Form]()
    for form in (*INTRODUCTIONS, *FORMS):
        needs = zip(form.needs, met, strict=True)
        if all(needed <= there for needed, there in needs):
            forms.append(form)
    return tuple(forms)


def holds_placeholder(text: str) -> bool:
    """Return whether a text has a placeholder, so that it would name a person once it is restored."""
    return _PLACEHOLDER.search(text) is not None
