"""What an analyser claims of a text, one by one, as people review it: what was found, how sure it is, what they said.

A tenth of all claims is drawn by the hash of its key, so that everybody draws the same, and what is drawn does not
depend on how sure the analyser was: the agreement on that tenth tells how good all of the findings are.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.reviews import hash_of_texts
from edugraph_insights.graph import Row

UNSURE_BELOW = 0.6  # confidence
ONE_OF = 10  # claims is drawn, however sure it is
_FOUND_UNDER = {"error_type": "error_types", "knowledge_point": "knowledge_points"}


@dataclass(frozen=True)
class Claim:
    """That a text shows a type of mistake or a point. `target` is the id of its node, `name` as it was found.

    `verdict` is what was said last of it, None if nothing was or that was taken back; `instead` is what reviewers
    accepted of the same aspect that was not found.
    """

    record: str
    text_hash: str
    aspect: str
    target: str
    name: str
    confidence: float
    verdict: str | None
    instead: tuple[str, ...]

    @property
    def key(self) -> str:
        return key_of(self.record, self.text_hash, self.aspect, self.target)

    @property
    def drawn(self) -> bool:
        return is_drawn(self.key)


def claims_of(row: Row) -> Iterator[Claim]:
    """Yield what was found in a mistake, which is a row of the statement `findings`."""
    found = json.loads(row["finding"])["finding"]
    said = json.loads(row["verdicts"]) if row["verdicts"] else {"accepted": {}, "rejected": {}}
    text_hash = hash_of_texts(row["type"], row)
    for aspect, under in _FOUND_UNDER.items():
        named: dict[str, dict[str, Any]] = {}
        for each in found.get(under, ()):
            target = canonical_name(each["name"])
            # Of two spellings of one thing, the surer counts, as in the graph.
            if target not in named or named[target]["confidence"] < each["confidence"]:
                named[target] = each
        accepted, rejected = said["accepted"].get(aspect, ()), said["rejected"].get(aspect, ())
        instead = tuple(sorted(set(accepted) - named.keys()))
        for target, each in named.items():
            verdict = "accepted" if target in accepted else "rejected" if target in rejected else None
            yield Claim(row["record"], text_hash, aspect, target, each["name"], each["confidence"], verdict, instead)


def key_of(*parts: str) -> str:
    """Return what stands for one thing that can be reviewed."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def is_drawn(key: str) -> bool:
    return int(key[:15], 16) % ONE_OF == 0


def effective(claims: list[Claim], aspect: str) -> set[str]:
    """Return what counts of one record: what was found and not rejected, and what was accepted."""
    mine = [each for each in claims if each.aspect == aspect]
    return {each.target for each in mine if each.verdict != "rejected"} | {
        target for each in mine for target in each.instead
    }
