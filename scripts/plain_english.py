"""Check comments, docstrings and pages against the rules of plain English. Part of `make check`.

The readers of this project are engineers whose mother tongue is often not English. Each rule names a form that such a
reader has to read twice, and the advice that is printed with it.

scripts/plain_english.json has the number of hits of each file that is not clean yet. The number may only fall: a new
hit fails, and so does a number that is higher than what the file has. `make ratchets` writes the lower numbers.
"""

import argparse
import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BASELINE = Path(__file__).with_suffix(".json")
# Other files or other people made these, or they are a log of releases.
LEFT_OUT = ("CHANGELOG.md", "/_sync/", "/vendor/")
NOT_PROSE = re.compile(r"#\s*(!|type:|noqa|fmt:|pragma|nosec)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LIST_ITEM = re.compile(r"\n\s*(?:[-*]|\d+\.)\s")
SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`\"'(])")


class Rule(NamedTuple):
    """`first_only`: the rule holds for the first sentence of a comment, docstring or paragraph."""

    name: str
    pattern: re.Pattern[str]
    advice: str
    first_only: bool = False


class Hit(NamedTuple):
    file: str
    line: int
    rule: Rule
    sentence: str


class Block(NamedTuple):
    """A comment, a docstring or a paragraph, with the number of its first line."""

    line: int
    text: str


RULES = (
    Rule(
        "start",
        re.compile(r"(?:Of|What|Whatever|Who|Whoever|Whose)\b(?!.*\?)"),
        "Begin with the noun that the sentence is about.",
    ),
    Rule(
        "pronoun",
        re.compile(r"(?:It|They|Those|That|None|Itself)\b"),
        "Nothing was named yet. Name it.",
        first_only=True,
    ),
    Rule(
        "of-which",
        re.compile(
            r".*(?<!regardless )(?<!each )\b(?:of (?:which|whom|what|whose)|(?:by|for|to|from|with) whom)\b"
        ),
        "Write two sentences.",
    ),
    Rule(
        "is-no",
        re.compile(
            r".*(?<![Tt]here )\b(?:is|are|was|were) (?:none|no(?! (?:longer|more|less|later)))\b"
        ),
        "Negate the verb: 'is not a record'.",
    ),
    Rule(
        "elsewhere",
        re.compile(r".*(?:\bas `[^`]+` has it\b|: as `|\b[Rr]aises as `)"),
        "State the rule here.",
    ),
    Rule(
        "told",
        re.compile(r".*\b(?:(?:said|told|says?|tells?) of|(?:is|are) told)\b"),
        "Say who writes or reads which value.",
    ),
    Rule(
        "pointing",
        re.compile(r".*\b(?:all that|(?:those|that) alone|so (?:many|much)(?! that| as))\b"),
        "Name the thing or the number.",
    ),
    Rule(
        "verb-of",
        re.compile(r".*\b(?:Return|Yield|Say|Tell|Count)s? (?:of|for what|to what)\b"),
        "Put the object after the verb: 'Return, for each student, the …'.",
    ),
    Rule(
        "old",
        re.compile(r".*\b(?:anew|but for(?! the\b)|whereof|wherein|to and fro)\b"),
        "Use the common word: again, except, in which.",
    ),
)


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the prose of a file of Python or Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        yield from _paragraphs(text)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield Block(node.body[0].lineno, docstring)
    yield from _comments(text)


def _paragraphs(text: str) -> Iterator[Block]:
    """Yield the paragraphs. Code, headings, quotations and tables are left out."""

    def emptied(code: re.Match[str]) -> str:
        return "\n" * code.group().count("\n")

    lines = list[tuple[int, str]]()
    for number, line in enumerate(CODE_BLOCK.sub(emptied, text).splitlines(), start=1):
        if not line.lstrip().startswith(("|", "#", ">")):
            lines.append((number, line.strip()))
    yield from _joined(lines)


def _comments(text: str) -> Iterator[Block]:
    """Yield the comments. Comments on lines that follow each other are one."""
    lines = list[tuple[int, str]]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not NOT_PROSE.match(token.string):
            lines.append((token.start[0], token.string.lstrip("# ")))
    yield from _joined(lines)


def _joined(lines: list[tuple[int, str]]) -> Iterator[Block]:
    """Yield a block for each run of lines with following numbers and without an empty line."""
    first_line = 0
    last_line = 0
    words = list[str]()
    for number, text in lines:
        if words and (number != last_line + 1 or not text):
            yield Block(first_line, "\n".join(words))
            words = []
        if text:
            if not words:
                first_line = number
            words.append(text)
            last_line = number
    if words:
        yield Block(first_line, "\n".join(words))


def hits_of(file: str, block: Block) -> Iterator[Hit]:
    is_first = True
    # A list may begin its first item at the start of the block.
    for part in LIST_ITEM.split("\n" + block.text):
        for sentence in SENTENCE_END.split(" ".join(part.split())):
            if not sentence:
                continue
            for rule in RULES:
                applies = is_first or not rule.first_only
                if applies and rule.pattern.match(sentence):
                    yield Hit(file, block.line, rule, sentence)
            is_first = False


def prose_files() -> list[str]:
    """Return the files that git tracks or would add, as paths from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.md"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    chosen = list[str]()
    for file in listed:
        is_left_out = any(part in file for part in LEFT_OUT)
        if not is_left_out and (ROOT / file).is_file():
            chosen.append(file)
    return sorted(chosen)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="plain_english.py", description="Plain English, as a ratchet."
    )
    parser.add_argument(
        "--write", action="store_true", help="lower the numbers of the files that became better"
    )
    parser.add_argument("--show", metavar="FILE", help="print all hits of a file")
    chosen = parser.parse_args(arguments)
    baseline: dict[str, int] = json.loads(BASELINE.read_text(encoding="utf-8"))
    found = dict[str, list[Hit]]()
    for file in prose_files():
        hits = [hit for block in blocks_of(ROOT / file) for hit in hits_of(file, block)]
        if hits:
            found[file] = hits
    if chosen.show:
        _print_hits(found.get(chosen.show, []))
        return 0
    worse = [file for file, hits in found.items() if len(hits) > baseline.get(file, 0)]
    for file in worse:
        _print_hits(found[file])
        print(f"{file}: {len(found[file])} hits, {baseline.get(file, 0)} are allowed")
    if worse:
        return 1
    lower = {file: len(hits) for file, hits in found.items()}
    if chosen.write:
        BASELINE.write_text(json.dumps(lower, indent=0, sort_keys=True) + "\n", encoding="utf-8")
        return 0
    if lower != baseline:
        print(
            "Some files have fewer hits now. Run `make ratchets`, and commit scripts/plain_english.json."
        )
        return 1
    return 0


def _print_hits(hits: list[Hit]) -> None:
    for hit in hits:
        print(
            f"{hit.file}:{hit.line}: {hit.rule.name}: {hit.sentence[:160]}\n    {hit.rule.advice}"
        )


if __name__ == "__main__":
    sys.exit(main())
