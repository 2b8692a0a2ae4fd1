"""Label the messages a second time, blind to the first labels, and say how far both agree.

python -m evaluation.moods.second_labels sheet SEED >sheet.txt     # numbered texts in random order, without labels
python -m evaluation.moods.second_labels keep SEED <labels.txt     # a line NUMBER LABEL for each of them: + - 0
python -m evaluation.moods.second_labels kappa                     # Cohen's kappa of both labellings
"""

import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from sklearn.metrics import cohen_kappa_score

from evaluation.statistics import bootstrapped

MESSAGES = Path(__file__).with_name("messages.ndjson")
SECOND = Path(__file__).with_name("second_labels.ndjson")
MOODS = {"+": "positive", "-": "negative", "0": "neutral"}
Pair = tuple[str, str]


def messages() -> list[dict[str, Any]]:
    return [json.loads(line) for line in MESSAGES.read_text(encoding="utf-8").splitlines()]


def shuffled(seed: int) -> list[dict[str, Any]]:
    found = messages()
    random.Random(seed).shuffle(found)  # noqa: S311 - a draw, no secret
    return found


def sheet(seed: int) -> str:
    """Return the texts without ids and labels; their numbers say nothing without the seed."""
    return "\n".join(
        f"{number} {message['text'].replace(chr(10), ' / ')}"
        for number, message in enumerate(shuffled(seed), start=1)
    )


def keep(seed: int, lines: list[str]) -> None:
    """Write the labels by id. Raises ValueError where a message has no label."""
    said = {int(number): MOODS[mark] for number, mark in (line.split() for line in lines if line.strip())}
    found = shuffled(seed)
    missing = [number for number in range(1, len(found) + 1) if number not in said]
    if missing:
        raise ValueError(f"no label for {missing}")
    labels = sorted((message["id"], said[number]) for number, message in enumerate(found, start=1))
    rows = [json.dumps({"id": name, "mood": mood}) for name, mood in labels]
    SECOND.write_text("\n".join(rows) + "\n", encoding="utf-8")


def both() -> dict[str, Pair]:
    """Return the first and the second label by the id of the message."""
    second = {row["id"]: row["mood"] for row in map(json.loads, SECOND.read_text(encoding="utf-8").splitlines())}
    return {message["id"]: (message["mood"], second[message["id"]]) for message in messages()}


def kappa(pairs: list[Pair]) -> float:
    """Return Cohen's kappa: how much more two labellings agree than two that are drawn; 1 is always."""
    first, second = zip(*pairs, strict=True)
    return float(cohen_kappa_score(first, second, labels=list(MOODS.values())))


def main(arguments: list[str]) -> int:
    match arguments:
        case ["sheet", seed]:
            print(sheet(int(seed)))
        case ["keep", seed]:
            keep(int(seed), sys.stdin.read().splitlines())
        case ["kappa"]:
            pairs = list(both().values())
            print(f"{len(pairs)} messages, kappa {bootstrapped(pairs, kappa)}")
            for (first, second), count in sorted(Counter(pairs).items()):
                print(f"{first} / {second}: {count}")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
