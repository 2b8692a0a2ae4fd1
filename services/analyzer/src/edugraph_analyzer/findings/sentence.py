"""Check the sentence of a model about a mistake: its language, and that it has nothing from anywhere else.

The sentence stands beside the sentences about other students, and it stays when the text becomes too old. So it
names no person, and it has no number and no quotation. A sentence that breaks a rule is left out and never mended.
"""

import re
import unicodedata

from edugraph_analyzer.documents import Document
from edugraph_analyzer.error_types import Language
from edugraph_analyzer.findings.evidence import stands_in
from edugraph_analyzer.plain_text import is_chinese
from edugraph_analyzer.redaction import Redactor, holds_placeholder

_DIGIT = re.compile(r"\d")
_QUOTATION_MARK = re.compile(r"[\"“”„«»「」『』`]")
# The mark in "student's" is an apostrophe: a letter stands before it.
_SINGLE_QUOTATION = re.compile(r"(?<!\w)['‘‚‹][^'’›]+['’›]")
# A sentence has at least this share of letters in the script of its language.
_LEAST_SHARE = 0.5


def usable_sentence(
    sentence: str | None, document: Document, redactor: Redactor, language: Language
) -> str | None:
    """Return the sentence if it keeps all rules, and otherwise None. `redactor` is that of the document."""
    if sentence is None or holds_placeholder(sentence):
        return None
    if not _is_in(sentence, language) or stands_in(sentence, document.text):
        return None
    if _has_number_or_quotation(sentence):
        return None
    # The redactor of the document must not change: it restores quotes.
    private = Redactor(document.people, redactor.members, redactor.find_names)
    if private.redact(sentence) != sentence:
        return None
    return sentence


def _is_in(sentence: str, language: Language) -> bool:
    """Return whether a sentence is in a language, by its script. French is not told from English."""
    if language == "zh":
        return is_chinese(sentence)
    letters = [char for char in sentence if unicodedata.category(char).startswith("L")]
    latin = [char for char in letters if "LATIN" in unicodedata.name(char, "")]
    return len(latin) > _LEAST_SHARE * len(letters)


def _has_number_or_quotation(sentence: str) -> bool:
    """Return whether a sentence has words or numbers of one text, which other students' mistakes do not share."""
    plain = unicodedata.normalize("NFKC", sentence)
    patterns = (_DIGIT, _QUOTATION_MARK, _SINGLE_QUOTATION)
    return any(pattern.search(plain) for pattern in patterns)
