"""Private words out before a text leaves, and the original words back in what is quoted from it.

Everything is matched on a plain reading of the text (width, accents and invisible characters undone), so that
"ｚｈａｎｇ＠ｑｑ．ｃｏｍ" is an e-mail address too. What is replaced is the text's own slice, which `restore` puts back.
Which words are private is said in `private_names` and `private_forms`. Whoever calls `redact` looks at the length of the
text first: it takes time in proportion to it.
"""

# ruff: noqa: E501 - texts and patterns are read as one line

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.plain_text import folded, plain_reading
from edugraph_analyzer.private_forms import FORMS, Form, Needs, Span
from edugraph_analyzer.private_names import INTRODUCTIONS, own_names

TAGS = (
    *("URL", "EMAIL", "ADDRESS", "STUDENT", "TEACHER", "IDNUMBER", "CARD", "PHONE", "ACCOUNT", "IP", "PLATE"),
    *("BIRTHDATE", "STUDENTID", "PERSON"),
)
_TAG = "|".join(TAGS)  # in any order: what follows a tag in both patterns is no letter
_PLACEHOLDER = re.compile(rf"(?:[\[【(（<]\s?)?\b({_TAG})[_ ](\d{{1,5}})(?!\d)(?:\s?[\]】)）>])?", re.IGNORECASE)
_OWN_MARK = re.compile(rf"(?:{_TAG})_\d{{1,5}}", re.IGNORECASE)


@dataclass
class Redactor:
    """Redacts the texts of one record.

    The same words get the same placeholder, numbered in the order in which they first appear, so that one text that two
    students sent is one text to the cache. `originals` has the words that each placeholder stands for.
    `members` are the names of the people of each of the record's courses.
    """

    people: tuple[Person, ...]
    members: Sequence[CourseNames] = ()
    originals: dict[str, str] = field(default_factory=dict)
    _placeholders: dict[tuple[str, str], str] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def redact(self, text: str) -> str:
        """Return `text` with a placeholder such as [STUDENT_1] in the place of each private span."""
        plain, origin = plain_reading(text)
        spans = self._private_spans(plain)
        # A number that the text itself uses in this way is passed over: a student may write [STUDENT_1].
        taken = {mark.upper() for mark in _OWN_MARK.findall(text)} if spans else set()
        pieces, last = [], 0
        for start, end, tag in spans:
            first, beyond = origin[start], origin[end - 1] + 1
            if first < last:  # one original character may read as several
                continue
            original = text[first:beyond]
            while (tag, original) not in self._placeholders:
                self._counts[tag] = self._counts.get(tag, 0) + 1
                name = f"{tag}_{self._counts[tag]}"
                if name not in taken:
                    self._placeholders[tag, original] = f"[{name}]"
                    self.originals[f"[{name}]"] = original
            pieces += [text[last:first], self._placeholders[tag, original]]
            last = beyond
        return "".join([*pieces, text[last:]])

    def restore(self, text: str) -> str:
        """Put the words back that the placeholders of this record stand for. Other placeholders are left as they are."""
        if not self.originals:
            return text
        return _PLACEHOLDER.sub(lambda match: self.originals.get(f"[{match[1].upper()}_{match[2]}]", match[0]), text)

    def _private_spans(self, plain: str) -> list[Span]:
        """Return start, end and tag of all private spans of a plain text, in order and without overlaps.

        Overlapping spans become one, under the tag that comes first in TAGS, so that no rest of either is left.
        """
        lower = folded(plain)
        found = [*own_names(plain, lower, self.people)]
        for names in self.members or (_course_of(self.people),):
            found += names.spans(plain)
        for form in _forms_that_may_match(Needs.met_by(plain)):
            found += form.spans(plain, lower)
        whole: list[Span] = []
        for start, end, tag in sorted(found):
            if whole and start < whole[-1][1]:
                before = whole.pop()
                whole.append((before[0], max(end, before[1]), min(tag, before[2], key=TAGS.index)))
            else:
                whole.append((start, end, tag))
        return whole


@lru_cache(maxsize=4_096)
def _course_of(people: tuple[Person, ...]) -> CourseNames:
    """Return the people of a record as the members of a course. The lists of its courses have them already."""
    return CourseNames(person.value for person in people if person.is_name)


@lru_cache(maxsize=1_024)
def _forms_that_may_match(met: Needs) -> tuple[Form, ...]:
    """Return the forms that a text which meets these needs may match."""
    return tuple(
        form
        for form in (*INTRODUCTIONS, *FORMS)
        if all(needed <= there for needed, there in zip(form.needs, met, strict=True))
    )


def holds_placeholder(text: str) -> bool:
    """Say whether a name (of a topic, of a knowledge point) would name a person once it is restored."""
    return _PLACEHOLDER.search(text) is not None
