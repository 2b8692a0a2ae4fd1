"""Check the sentences of a draft: each must cite records that were shown, and name only students of these records.

The text is split into sentences here, and citations are read from the text. Nothing else that a
model declares about its sentences is used.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edugraph_analyzer.findings.schema import read_json
from edugraph_common.contracts.drafts import MOST_SENTENCES, DraftSentence

# A model that writes more is not read to its end.
_MOST_ENTRIES = 100
_LONGEST_ENTRY = 4_000
# A longer sentence says more than its citations can carry.
LONGEST_SENTENCE = 600
_AS_BRACKETS = str.maketrans("【】［］〔〕", "[][][]")
# A sentence ends at one of these marks, at the end of a line, or behind the citations that follow it.
_END = re.compile(
    r"(?:[.!?…．؟]+[\"'”’)）]*(?=\s|\[|$|[\u3400-\u9fff])|[。！？｡]+[”’」』）]*|[\r\n\u2028\u2029]+)"
    r"(?:\s*\[[^\[\]]*\])*\s*[.。]?"
)
_CITATION = re.compile(r"\[\s*([0-9]{1,4}(?:\s*[,，、;]\s*[0-9]{1,4})*)\s*\]")
# This looks like a citation. If it is left over after all citations were read, it names no shown record.
_LIKE_CITATION = re.compile(r"\[[\s\d,，、;:.#–—-]*\d[\s\d,，、;:.#–—-]*\]")
_NUMBER = re.compile(r"[0-9]+")
_SPACE_BEFORE_MARK = re.compile(r"\s+([.,;:!?。，；：！？])")
_SPACES = re.compile(r"\s+")
# A number of a list, or a dash, before a sentence.
_BULLET = re.compile(r"^(?:[-*•]|\(?\d{1,2}[.)])\s+")


@dataclass(frozen=True)
class Shown:
    """The records that a model was shown. `student_of` has the number of a student by the number of a record.

    The model knows the student with number 1 as the `prefix` and 1, such as S1.
    """

    student_of: Mapping[int, int]
    prefix: str = "S"

    @property
    def mark(self) -> re.Pattern[str]:
        """The pattern of the mark of a student, which other letters may follow."""
        return re.compile(
            rf"(?<![A-Za-z0-9_]){self.prefix}([0-9]+)(?![0-9])", re.ASCII | re.IGNORECASE
        )


@dataclass(frozen=True)
class CheckedSentences:
    """The sentences that may be shown, and the numbers of those that were removed or came after the last."""

    sentences: tuple[DraftSentence, ...]
    removed: int
    cut: int


def entries_of(answer: str) -> list[str] | None:
    """Return the texts in an answer, or None if the answer is not of the form {"sentences": [text, ...]}."""
    value = read_json(answer)
    if not isinstance(value, dict):
        return None
    entries = value.get("sentences")
    if not isinstance(entries, list):
        return None
    texts = [_text_in(entry) for entry in entries[:_MOST_ENTRIES]]
    return [text[:_LONGEST_ENTRY] for text in texts if text]


def _text_in(entry: Any) -> str:
    if isinstance(entry, dict):
        entry = entry.get("text")
    if not isinstance(entry, str):
        return ""
    return entry


def checked(entries: Iterable[str], shown: Shown) -> CheckedSentences:
    """Return the sentences of these texts that cite shown records. An entry may hold several sentences."""
    kept: list[DraftSentence] = []
    removed = 0
    for entry in entries:
        for sentence in split(entry):
            valid = valid_sentence(sentence, shown)
            if valid is None:
                removed += 1
            else:
                kept.append(valid)
    return CheckedSentences(
        tuple(kept[:MOST_SENTENCES]), removed, max(len(kept) - MOST_SENTENCES, 0)
    )


def split(text: str) -> Iterator[str]:
    """Yield the sentences of a text, each with the citations behind it. A part without a letter is not a sentence."""
    text = text.translate(_AS_BRACKETS)
    begin = 0
    ends = [found.end() for found in _END.finditer(text)]
    for end in (*ends, len(text)):
        sentence = text[begin:end].strip()
        begin = end
        if any(character.isalpha() for character in sentence):
            yield sentence


def valid_sentence(sentence: str, shown: Shown) -> DraftSentence | None:
    """Return a sentence without its citations, which become `cites`, or None if it must not be shown."""
    if len(sentence) > LONGEST_SENTENCE:
        return None
    cites: list[int] = []
    for citation in _CITATION.finditer(sentence):
        cites += [int(number) for number in _NUMBER.findall(citation[1])]
    bare = _CITATION.sub("", sentence)
    if not cites or _LIKE_CITATION.search(bare):
        return None
    if not shown.student_of.keys() >= set(cites):
        return None
    students = {shown.student_of[number] for number in cites}
    named = {int(mark[1][:9]) for mark in shown.mark.finditer(bare)}
    if not named <= students:
        return None
    text = _SPACES.sub(" ", _SPACE_BEFORE_MARK.sub(r"\1", bare)).strip()
    text = _BULLET.sub("", text)
    return DraftSentence(text=text, cites=tuple(dict.fromkeys(cites)))
