"""The claims of an analyser about a text, as people review them: one by one, with confidence and verdict.

The claims about a message are the topics that no list has.

A tenth of all claims is drawn by the hash of the key. So everybody draws the same claims, and the draw does not
depend on the confidence. The agreement of reviewers with these claims shows how good all findings are.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.reviews import hash_of_texts
from edugraph_insights.graph import Row

# A claim with a lower confidence is unsure.
UNSURE_BELOW = 0.6
# One of this many claims is drawn.
ONE_OF = 10
# The aspects of the finding of a mistake that have claims.
_ASPECTS = ("error_type", "knowledge_point", "misconception")


class Origin(NamedTuple):
    """The analyser that made a finding."""

    analyser: str
    model: str
    prompt_version: str


@dataclass(frozen=True)
class Claim:
    """A claim that a text shows a type of mistake, a point or a topic, or what went wrong in one sentence.

    `target` is the id of the node of this type, point, topic or sentence, `name` the spelling in the finding.
    `verdict` is the last verdict, None if there is none or if it was taken back. `instead` are the targets of the
    same aspect that reviewers accepted and that the analyser did not find. `proposed` says that the list of the
    school does not have this type of mistake, or that the topic is not in the list of the course. Such a claim
    counts only if a reviewer accepts it. `confidence` is what the analyser states. `origin` is None if the finding
    does not say who made it.
    """

    record: str
    text_hash: str
    aspect: str
    target: str
    name: str
    confidence: float
    verdict: str | None
    instead: tuple[str, ...]
    proposed: bool = False
    origin: Origin | None = None

    @property
    def key(self) -> str:
        return key_of(self.record, self.text_hash, self.aspect, self.target)

    @property
    def drawn(self) -> bool:
        """Whether the claim measures the analyser. A proposal does not, and is never drawn."""
        return not self.proposed and is_drawn(self.key)


def claims_of(row: Row) -> Iterator[Claim]:
    """Yield the claims about a mistake. `row` is a row of the statement `findings`."""
    stored = json.loads(row["finding"])
    found = stored["finding"]
    origin = _origin_of(stored)
    said = _said_of(row)
    text_hash = hash_of_texts(row["type"], row)
    for aspect in _ASPECTS:
        named = _by_target(_found_in(found, aspect))
        proposed = _by_target(found.get(f"other_{aspect}s", ()))
        named |= {target: each for target, each in proposed.items() if target not in named}
        accepted = said["accepted"].get(aspect, ())
        instead = tuple(sorted(set(accepted) - named.keys()))
        for target, each in named.items():
            yield Claim(
                row["record"],
                text_hash,
                aspect,
                target,
                each["name"],
                each["confidence"],
                _verdict_of(said, aspect, target),
                instead,
                proposed.get(target) is each,
                origin,
            )


def _found_in(found: Mapping[str, Any], aspect: str) -> list[dict[str, Any]]:
    """Return the names of one aspect in the finding of a mistake, each with its confidence.

    A sentence about what went wrong has no confidence of its own, so it has that of the whole finding.
    """
    if aspect != "misconception":
        names: list[dict[str, Any]] = found.get(f"{aspect}s", [])
        return names
    sentence = found.get("what_went_wrong")
    if sentence is None:
        return []
    return [{"name": sentence, "confidence": found["confidence"]}]


def proposed_topics_of(row: Row) -> Iterator[Claim]:
    """Yield the topics of a message that are in no list. `row` is a row of the statement `proposed_topics`.

    A topic has no confidence of its own, so a claim has that of the whole finding.
    """
    stored = json.loads(row["finding"])
    found = stored["finding"]
    origin = _origin_of(stored)
    said = _said_of(row)
    text_hash = hash_of_texts(row["type"], row)
    listed = {canonical_name(name) for name in found["topics"]}
    # target -> the first spelling
    named: dict[str, str] = {}
    for name in found.get("other_topics", ()):
        target = canonical_name(name)
        if target not in listed:
            named.setdefault(target, name)
    accepted = set(said["accepted"].get("topic", ()))
    not_found = accepted - listed - named.keys()
    instead = tuple(sorted(not_found))
    confidence = found["confidence"]
    for target, name in named.items():
        verdict = _verdict_of(said, "topic", target)
        claim = Claim(
            row["record"],
            text_hash,
            "topic",
            target,
            name,
            confidence,
            verdict,
            instead,
            proposed=True,
            origin=origin,
        )
        yield claim


def _origin_of(stored: dict[str, Any]) -> Origin | None:
    """Return the analyser of a stored finding, or None if a part of it is missing."""
    if not stored.keys() >= set(Origin._fields):
        return None
    return Origin(stored["analyser"], stored["model"], stored["prompt_version"])


def _said_of(row: Row) -> dict[str, dict[str, list[str]]]:
    """Return the verdicts about a record: "accepted" or "rejected" -> aspect -> targets."""
    if not row["verdicts"]:
        return {"accepted": {}, "rejected": {}}
    said: dict[str, dict[str, list[str]]] = json.loads(row["verdicts"])
    return said


def _verdict_of(said: dict[str, dict[str, list[str]]], aspect: str, target: str) -> str | None:
    for verdict in ("accepted", "rejected"):
        if target in said[verdict].get(aspect, ()):
            return verdict
    return None


def _by_target(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return target -> claim. If a finding has two spellings of one target, the surer one counts, as in the graph."""
    named: dict[str, dict[str, Any]] = {}
    for each in found:
        target = canonical_name(each["name"])
        if target not in named or named[target]["confidence"] < each["confidence"]:
            named[target] = each
    return named


def key_of(*parts: str) -> str:
    """Return the key of one thing that can be reviewed: a hash of its parts."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def is_drawn(key: str) -> bool:
    """Return whether a claim belongs to the drawn tenth."""
    return int(key[:15], 16) % ONE_OF == 0


def effective(claims: list[Claim], aspect: str) -> set[str]:
    """Return the targets of one aspect that count for a record: found and not rejected, or accepted by reviewers."""
    targets: set[str] = set()
    for claim in claims:
        if claim.aspect != aspect:
            continue
        counts = claim.verdict != "rejected"
        if claim.proposed:
            counts = claim.verdict == "accepted"
        if counts:
            targets.add(claim.target)
        targets.update(claim.instead)
    return targets
