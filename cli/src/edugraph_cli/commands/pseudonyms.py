"""`edugraph pseudonymize FILE` and `edugraph pseudonym WORD`. They use no server."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from edugraph_cli.commands.importing import check_file, platforms_of
from edugraph_cli.display import FAILED, INVALID, err, print_table, say, stop
from edugraph_cli.options import Prefixes
from edugraph_cli.pseudonyms import (
    FindWords,
    PseudonymMap,
    UnusableMap,
    Word,
    find_whole_words,
    private_file,
    pseudonymize,
)
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.outcomes import Reject
from edugraph_common.sources import NotRelevant, ReadPlan, open_text, parse_mapping
from edugraph_common.sources.compression import compressing, content_encoding_of
from edugraph_common.sources.detection import HEAD_BYTES, chosen_format, detect_file
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import cut_rows, read_rows

SHOWN_REJECTS = 20
MapFile = Annotated[
    Path,
    typer.Option("--map", help="the file that says who is who; it is created if it does not exist"),
]


def pseudonymize_file(  # noqa: PLR0917 - typer makes options of the parameters
    file: Annotated[Path, typer.Argument(help="a file (see `edugraph formats`)")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="NDJSON; compressed if it ends in .gz or .zst")
    ],
    map_file: MapFile = Path("pseudonyms.db"),
    file_format: Annotated[
        Format | None, typer.Option("--format", help="detected if it is not given")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="the file that maps a table's columns to fields")
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            help="the address of the platform that wrote an Open edX log, if it is not your own"
        ),
    ] = None,
    prefixes: Prefixes = "{}",
) -> None:
    """Replace ids and names of persons by pseudonyms, on this machine, and write records that can be imported.

    The map stays here and gives the same pseudonyms in the next file. Names of courses, topics and error types do not
    change, and neither do persons in texts who are not in the same row.
    Exits with 0 if every row was written, 1 if some could not be read and were left out.
    """
    check_file(file)
    if mapping:
        check_file(mapping)
    platforms = platforms_of(prefixes, platform)
    find, rule = _rule()
    part = output.with_name(f"{output.name}.part")
    try:
        with PseudonymMap(map_file) as names, file.open("rb") as source_file:
            detected = detect_file(file.name, source_file.read(HEAD_BYTES))
            source_file.seek(0)
            read_as = None
            if mapping:
                read_as = parse_mapping(mapping.read_bytes())
            file_format = chosen_format(detected, file_format, has_mapping=mapping is not None)
            plan, text = open_text(
                source_file, file_format, detected.compression, read_as, platforms
            )
            with (
                private_file(part) as raw,
                compressing(raw, content_encoding_of(output.name)) as packed,
            ):
                counts, rejects = _write(plan, text, packed, names, find)
        part.replace(output)
    except MalformedFile as problem:
        stop(f"{file}: {problem}", INVALID)
    except UnusableMap as problem:
        stop(str(problem), INVALID)
    finally:
        part.unlink(missing_ok=True)
    for reject in rejects:
        err.print(
            f"  {reject.place}: {reject.field} {reject.reason}", markup=False, highlight=False
        )
    print_table(f"{output}: names in texts were found by {rule}", counts)
    say(f"Who is who stands in {map_file} alone. Keep it, and keep it here.")
    if counts["left out (unreadable)"]:
        raise typer.Exit(FAILED)


def show_pseudonym(
    word: Annotated[str, typer.Argument(help="an id of a person, or a pseudonym")],
    map_file: MapFile = Path("pseudonyms.db"),
) -> None:
    """Print the original of a pseudonym, or the pseudonym of an id: edugraph forget $(edugraph pseudonym S1)."""
    check_file(map_file)
    try:
        with PseudonymMap(map_file) as names:
            say(names.originals(word) or names.of("person", word))
    except UnusableMap as problem:
        stop(str(problem), INVALID)


def _write(
    plan: ReadPlan, text: Iterable[bytes], file: IO[bytes], names: PseudonymMap, find: FindWords
) -> tuple[dict[str, int], list[Reject]]:
    """Write the rows that could be read. Return the counts to show, and the first rows that could not be read."""
    counts: Counter[str] = Counter()
    rejects: list[Reject] = []
    for _, row in read_rows(plan.source, cut_rows(plan.source, text)):
        if isinstance(row, Reject):
            counts["left out (unreadable)"] += 1
            if len(rejects) < SHOWN_REJECTS:
                rejects.append(row)
        elif isinstance(row, NotRelevant):
            counts["left out (not relevant)"] += 1
        else:
            counts["written"] += 1
            value = pseudonymize(row, names, find, plan.ids)
            line = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            file.write(f"{line}\n".encode())
    names_of_counts = ("written", "left out (unreadable)", "left out (not relevant)")
    return {name: counts[name] for name in names_of_counts}, rejects


def _rule() -> tuple[FindWords, str]:
    """Return the function that finds names in texts, and its description. The analyzer's one is preferred."""
    try:
        from edugraph_analyzer.documents import Person
        from edugraph_analyzer.plain_text import folded, readings_of
        from edugraph_analyzer.private_names import own_names
    except ModuleNotFoundError:
        return (
            find_whole_words,
            "whole words (install edugraph-cli[analyzer] for nicknames and forms of address)",
        )

    def find(text: str, words: Iterable[Word]) -> Iterator[tuple[int, int, Word]]:
        found = dict[tuple[int, int, Word], None]()
        sought = list(words)
        for reading in readings_of(text):
            lower = folded(reading.plain)
            for word in sought:
                people = [Person("STUDENT", word.value, word.is_name)]
                for start, end, _ in own_names(reading.plain, lower, people):
                    found[reading.starts[start], reading.ends[end - 1], word] = None
        yield from found

    return find, "the analyzer's rules"
