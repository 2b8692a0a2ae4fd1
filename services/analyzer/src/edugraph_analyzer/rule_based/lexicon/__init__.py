"""The word lists of the rule-based analyser: one entry a line, fields parted by |, and # begins a comment."""

from functools import lru_cache
from importlib import resources

VERSION = "lexicon.2"


@lru_cache
def entries(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the fields of each line of NAME.txt."""
    text = resources.files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(tuple(field.strip() for field in line.split("|")) for line in lines if line)
