"""Second labels of the messages, made without seeing the first labels, and the agreement of both.

python -m evaluation.moods.second_labels sheet SEED >sheet.txt        # numbered texts in random order, without labels
python -m evaluation.moods.second_labels keep mood SEED <labels.txt   # a line NUMBER MARK for each of them; or topic
python -m evaluation.moods.second_labels kappa                        # Cohen's kappa of both labellings, of each
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Literal, get_args

from sklearn.metrics import cohen_kappa_score

from evaluation.statistics import bootstrapped

MESSAGES = Path(__file__).with_name("messages.ndjson")
SECOND = Path(__file__).with_name("second_labels.ndjson")
MOODS = {"+": "positive", "-": "negative", "0": "neutral"}
TOPICS = {
    "n": "number",
    "f": "fractions",
    "a": "algebra",
    "g": "geometry",
    "s": "statistics",
    "p": "physics",
    "c": "chemistry",
    "i": "programming",
    "l": "language",
    "-": "none",
}
LABELS = (*MOODS.values(), *TOPICS.values())
Aspect = Literal["mood", "topic"]
Pair = tuple[str, str]


def messages() -> list[dict[str, Any]]:
    return [json.loads(line) for line in MESSAGES.read_text(encoding="utf-8").splitlines()]


def shuffled(seed: int) -> list[dict[str, Any]]:
    found = messages()
    random.Random(seed).shuffle(found)  # noqa: S311 - a draw, no secret
    return found


def sheet(seed: int) -> str:
    """Return numbered texts without ids and labels. The seed is needed to know which text has which number."""
    return "\n".join(
        f"{number} {message['text'].replace(chr(10), ' / ')}"
        for number, message in enumerate(shuffled(seed), start=1)
    )


def keep(aspect: Aspect, seed: int, lines: list[str]) -> None:
    """Write the labels by id, together with those of the other aspect. Raises ValueError if a label is missing."""
    marks = {"mood": MOODS, "topic": TOPICS}[aspect]
    said = {
        int(number): marks[mark]
        for number, mark in (line.split() for line in lines if line.strip())
    }
    found = shuffled(seed)
    missing = [number for number in range(1, len(found) + 1) if number not in said]
    if missing:
        raise ValueError(f"no label for {missing}")
    kept = _second()
    for number, message in enumerate(found, start=1):
        kept[message["id"]] = {
            "id": message["id"],
            **kept.get(message["id"], {}),
            aspect: said[number],
        }
    rows = [json.dumps(row) for _, row in sorted(kept.items())]
    SECOND.write_text("\n".join(rows) + "\n", encoding="utf-8")


def _second() -> dict[str, dict[str, str]]:
    lines = SECOND.read_text(encoding="utf-8").splitlines() if SECOND.is_file() else []
    return {row["id"]: row for row in map(json.loads, lines)}


def both(aspect: Aspect) -> dict[str, Pair]:
    """Return id of a message -> (first label, second label)."""
    second = _second()
    return {
        message["id"]: (message[aspect], second[message["id"]][aspect]) for message in messages()
    }


def kappa(pairs: list[Pair]) -> float:
    """Return Cohen's kappa, the agreement of two labellings beyond chance. 1 means that they always agree."""
    first, second = zip(*pairs, strict=True)
    return float(cohen_kappa_score(first, second, labels=LABELS))


def main(arguments: list[str]) -> int:
    match arguments:
        case ["sheet", seed]:
            print(sheet(int(seed)))
        case ["keep", ("mood" | "topic") as aspect, seed]:
            keep(aspect, int(seed), sys.stdin.read().splitlines())
        case ["kappa"]:
            for aspect in get_args(Aspect):
                pairs = list(both(aspect).values())
                print(f"{aspect}: {len(pairs)} messages, kappa {bootstrapped(pairs, kappa)}")
                for (first, second), count in sorted(Counter(pairs).items()):
                    print(f"  {first} / {second}: {count}")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
