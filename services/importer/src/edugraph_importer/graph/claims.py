"""The prerequisites that texts, schools and reviewers claim, and which of them too few say to be followed.

A prerequisite may be followed if a school's definition states it, if a reviewer accepted it, or if two different
texts say it. Otherwise it is a proposal: people see it and can accept it
(docs/adr/0125-two-texts-say-a-prerequisite.md).

- A text says what is quoted from it. A claim without a quote is implied: nobody can check it, so it is only proposed,
  and its confidence is small. The claims that earlier releases stored have no quotes.
- Texts with the same letters and digits are copies and count as one text. So a text that was imported under two ids
  does not confirm itself.
- Points that mean the same count as one point, as they do when a question follows prerequisites.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from edugraph_common.contracts.findings import confidence_of_claim
from edugraph_importer.graph.driver import Connection
from edugraph_importer.graph.model import Pair
from edugraph_importer.graph.statements import CYPHER

FEWEST_TEXTS = 2
TEXTS_AT_ONCE = 100  # in one answer of the graph, since a text may have some hundred kilobytes
_NO_LETTERS = re.compile(r"[\W_]+")


@dataclass(slots=True)
class Claims:
    """All claims. Each claim is a pair of a point and the point that it requires.

    `confidence` has the confidence of the strongest claim. `stated` has the claims of definitions. `texts` has the
    ids of the texts that say each of the others in words.
    """

    confidence: dict[Pair, float] = field(default_factory=dict)
    stated: set[Pair] = field(default_factory=set)
    texts: dict[Pair, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, pair: Pair, confidence: float, text: str | None, quote: str) -> None:
        """Add a claim of a text, or of a definition if `text` is None. A claim with an empty quote is implied."""
        if text is None:
            self.stated.add(pair)
        else:
            confidence = confidence_of_claim(confidence, quote)
            if quote:
                self.texts[pair].add(text)
        self.confidence[pair] = max(confidence, self.confidence.get(pair, 0.0))


def read_claims(connection: Connection) -> Claims:
    claims = Claims()
    for row in connection.read(CYPHER["all_claims"]):
        # A definition has no quotes, and findings of earlier releases have none either.
        quotes = row["quotes"] or [""] * len(row["requires"])
        each_claim = zip(row["requires"], row["confidence"], quotes, strict=True)
        for required, confidence, quote in each_claim:
            claims.add((row["id"], required), confidence, row["text"], quote)
    return claims


def read_canonical_points(connection: Connection) -> dict[str, str]:
    """Return point -> the point that stands for it, without the points that stand for themselves."""
    return {row["id"]: row["canonical"] for row in connection.read(CYPHER["merged_points"])}


def read_digests(connection: Connection, text_ids: Iterable[str]) -> dict[str, str]:
    """Return text -> the digest of its letters and digits. A text that was deleted meanwhile is left out."""
    digests: dict[str, str] = {}
    rest = iter(sorted(text_ids))
    while portion := list(islice(rest, TEXTS_AT_ONCE)):
        for row in connection.read(CYPHER["contents_of_texts"], ids=portion):
            digests[row["id"]] = digest_of(row["content"])
    return digests


def digest_of(content: str) -> str:
    """Return a digest that is the same for texts that differ only in case, width, spaces and punctuation."""
    plain = unicodedata.normalize("NFKC", content).casefold()
    letters = _NO_LETTERS.sub("", plain)
    return hashlib.blake2b(letters.encode(), digest_size=16).hexdigest()


def proposals(
    claims: Claims,
    accepted: Iterable[Pair],
    canonical: Mapping[str, str],
    digests_of: Callable[[set[str]], Mapping[str, str]],
) -> frozenset[Pair]:
    """Return the claims that too few say to be followed.

    `accepted` are the prerequisites that reviewers accepted. `canonical` maps a point to the point that stands for
    it. `digests_of` returns the digests of texts. It is asked only for the texts on which a decision depends.
    """

    def between_canonical_points(pair: Pair) -> Pair:
        point, required = pair
        return canonical.get(point, point), canonical.get(required, required)

    confirmed = {between_canonical_points(pair) for pair in (*claims.stated, *accepted)}
    texts: dict[Pair, set[str]] = defaultdict(set)
    for pair, text_ids in claims.texts.items():
        canonical_pair = between_canonical_points(pair)
        if canonical_pair not in confirmed:
            texts[canonical_pair] |= text_ids

    undecided: set[str] = set()
    for text_ids in texts.values():
        if len(text_ids) >= FEWEST_TEXTS:
            undecided |= text_ids
    digests = digests_of(undecided)
    for canonical_pair, text_ids in texts.items():
        different = {digests[text_id] for text_id in text_ids if text_id in digests}
        if len(different) >= FEWEST_TEXTS:
            confirmed.add(canonical_pair)
    return frozenset(
        pair for pair in claims.confidence if between_canonical_points(pair) not in confirmed
    )
