"""Check the sentence of a model about a mistake: its language, and that it has nothing from anywhere else.

The sentence stands beside the sentences about other students. So it must not name a person, and a number or a quoted
passage in it must be in the text. A sentence that breaks a rule is left out and never mended.
"""

import re
import unicodedata

from edugraph_analyzer.documents import Document
from edugraph_analyzer.error_types import Language
from edugraph_analyzer.findings.evidence import stands_in
from edugraph_analyzer.plain_text import is_chinese
from edugraph_analyzer.redaction import Redactor, holds_placeholder

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTED = re.compile(r"[\"“”„«「『`]([^\"“”»」』`]+)[\"“”»」』`]")
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
    if _has_foreign_parts(sentence, document.text):
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


def _has_foreign_parts(sentence: str, text: str) -> bool:
    """Return whether a number or a quoted passage of the sentence is not in the text."""
    numbers_of_text = set(_NUMBER.findall(unicodedata.normalize("NFKC", text)))
    numbers = set(_NUMBER.findall(unicodedata.normalize("NFKC", sentence)))
    quoted = [passage for passage in _QUOTED.findall(sentence) if passage.strip()]
    return not numbers <= numbers_of_text or not all(stands_in(passage, text) for passage in quoted)
