"""`edugraph import --dry-run`: find out on this machine, without a gateway, what an import would do."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from edugraph_cli.display import FAILED, INVALID, print_table, say, show_json, stop
from edugraph_common.contracts.api import CallerAnswer
from edugraph_common.contracts.messages import (
    CURRICULUM_FORMATS,
    TABLE_FORMATS,
    Format,
    ImportRights,
    person_mark,
)
from edugraph_common.contracts.records import ROSTER_TYPES, Record, escaped
from edugraph_common.sources import UTF8, ReadPlan, compression_of, parse_mapping
from edugraph_common.sources.detection import HEAD_BYTES, DetectedFile, chosen_format, detect_file
from edugraph_common.sources.dry_run import DryRun, MarkAsRead, dry_run
from edugraph_common.sources.first_table import first_table
from edugraph_common.sources.mapping_suggestion import MappingSuggestion
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rights import check_rights
from edugraph_common.sources.rows import MAX_FUTURE

_MOST_ROWS = 2_000  # of a table whose mapping is suggested
_MARK_ID = "dry-run"


def print_dry_run(
    path: Path,
    mapping_path: Path | None,
    file_format: Format | None = None,
    *,
    caller: CallerAnswer | None = None,
    as_json: bool = False,
) -> int:
    """Print what an import of the file would do, or a suggested mapping for a table without a mapping.

    Return the exit code: 0 if each row is valid or not relevant, 1 if some rows are not, 2 for a file that an import
    cannot use. `file_format` overrules the format that is detected. Rows that the `caller` may not import are not
    valid. If the caller is not known, the number of rows that need the scope roster is printed.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if file_format in CURRICULUM_FORMATS:
                # The caller knows the format, which is XML or a ZIP file for some of them.
                detected = DetectedFile(format=file_format, compression=compression_of(head))
            else:
                detected = detect_file(path.name, head)
            mapping = None
            if mapping_path:
                mapping = parse_mapping(mapping_path.read_bytes())
            chosen = chosen_format(detected, file_format, has_mapping=mapping is not None)
            detected = detected.model_copy(update={"format": chosen})
            file.seek(0)
            is_table = detected.format in ("csv", *TABLE_FORMATS)
            if is_table and mapping is None and not as_json:
                _print_suggestion(file, path, detected)
                return INVALID
            report = dry_run(
                file,
                detected.format,
                mapping,
                detected.compression,
                latest=datetime.now(UTC) + MAX_FUTURE,
                check=partial(_check, caller),
            )
    except MalformedFile as problem:
        stop(f"{path}: {problem}", INVALID)
    if as_json:
        show_json(
            {
                "detected": detected.model_dump(mode="json"),
                **report.model_dump(mode="json", by_alias=True),
            }
        )
    else:
        _print_report(path, detected, report)
        if caller is None:
            _say_which_scope_is_needed(report)
    if report.rejected:
        return FAILED
    return 0


def _check(caller: CallerAnswer | None, record: Record) -> None:
    """Raise InvalidRecord if it is known that the caller may not import the record."""
    if caller is None:
        return
    rights = ImportRights(
        learning="submit" in caller.scopes,
        roster="roster" in caller.scopes,
        operate="operate" in caller.scopes,
        person=person_mark(_MARK_ID, caller.person) if caller.person else None,
    )
    check_rights(record, rights, _MARK_ID)


def _say_which_scope_is_needed(report: DryRun) -> None:
    roster_rows = sum(report.by_type.get(each, 0) for each in ROSTER_TYPES)
    if roster_rows:
        say(
            f"{roster_rows} rows need a key with the scope roster. With EDUGRAPH_API_KEY a dry run checks the key."
        )


def _print_report(path: Path, detected: DetectedFile, report: DryRun) -> None:
    read_as: list[str] = [detected.format]
    header = report.read_plan.header
    if header:
        read_as += [_encoding_words(report.read_plan, detected), f"delimiter {header.delimiter!r}"]
    if detected.compression:
        read_as.append(detected.compression)
    say(f"{path.name}: {', '.join(read_as)}; nothing was written")
    print_outcomes(report)


def print_outcomes(report: DryRun) -> None:
    """Print the counts of a dry run, the marks of the first students and the first rejects."""
    counts = {"read": report.read, "valid": report.valid, "rejected": report.rejected}
    print_table("Rows", counts | {"not relevant": sum(report.not_relevant.values())})
    by_name = {
        "Valid, by type": report.by_type,
        "Not relevant, by name": report.not_relevant,
        "Rejected, by reason": report.reasons,
    }
    for title, numbers in by_name.items():
        if numbers:
            print_table(title, numbers)
    if report.marks:
        say("The marks of the first students")
    for sentence in mark_sentences(report.marks):
        say(f"  {' '.join(sentence.split())}")
    if report.errors:
        say("The first rows that would be rejected")
    for error in report.errors:
        values = f"expected {error.expected}"
        if error.found:
            values += f", found {error.found}"
        say(f"  {error.place}: {error.field} {error.reason} ({values})")


def _encoding_words(plan: ReadPlan, detected: DetectedFile) -> str:
    """Return the encoding, and how sure it is unless it is UTF-8 or the mapping names it."""
    is_in_mapping = plan.mapping and plan.mapping.encoding
    if plan.encoding == UTF8 or is_in_mapping:
        return plan.encoding
    others = "no other fits"
    if detected.next_best_encoding:
        others = f"{detected.encoding_lead:.0%} ahead of {detected.next_best_encoding}"
    return f"{plan.encoding} (detected, {others})"


def _print_suggestion(file: IO[bytes], path: Path, detected: DetectedFile) -> None:
    """Print a mapping file. Its open points are comments, so that standard output can be saved as a file."""
    table = first_table(file, detected)
    now = datetime.now(UTC)
    suggestion = table.suggestion(path.name, now.date())
    if table.plan and table.plan.header:
        read_as = (
            f"{_encoding_words(table.plan, detected)}, delimiter {table.plan.header.delimiter!r}"
        )
    elif table.sheet:
        read_as = f"from the sheet {table.sheet}"
    else:
        read_as = "from the first rows"
    say(f"# A suggested mapping ({read_as}). Save and check it, then run")
    say(f"# edugraph import --dry-run --mapping FILE {path}")
    if suggestion.layout:
        say(f"# The columns are those of: {suggestion.layout}.")
    file.seek(0)
    marks = _outcomes(file, detected, suggestion, now)
    for point in (*suggestion.open_points, *_about_points(suggestion), *marks):
        words = " ".join(point.split())  # the name of a column may go over several lines
        say(f"# {words}")
    say(suggestion.mapping.rstrip())


def _outcomes(
    file: IO[bytes], detected: DetectedFile, suggestion: MappingSuggestion, now: datetime
) -> list[str]:
    """Return how the marks of the first three students would be read, or the marks alone if points are missing."""
    if suggestion.type != "attempt_record":
        return []
    try:
        mapping = parse_mapping(suggestion.mapping)
        report = dry_run(
            file,
            detected.format,
            mapping,
            detected.compression,
            latest=now + MAX_FUTURE,
            most_rows=_MOST_ROWS,
        )
    except MalformedFile:
        return [
            escaped(f"{each.column}: {', '.join(each.marks)} of ?")
            for each in suggestion.item_points
        ]
    return mark_sentences(report.marks)


def mark_sentences(marks: Sequence[MarkAsRead]) -> list[str]:
    """Return a sentence for each column with the outcomes of its marks, such as "Quiz 1: 7 of 10 = 70 %"."""
    by_column: dict[str, list[str]] = {}
    for each in marks:
        of_points = f" of {each.points:g}" if each.points is not None else ""
        by_column.setdefault(each.column, []).append(f"{each.mark}{of_points} = {each.percent:g} %")
    return [escaped(f"{column}: {', '.join(outcomes)}") for column, outcomes in by_column.items()]


def _about_points(suggestion: MappingSuggestion) -> list[str]:
    """Return what a person must confirm about the points of the items."""
    unknown, by_file, zero_one = [], [], []
    for each in suggestion.item_points:
        if each.points is None:
            largest = f" (the largest mark is {each.largest:g})" if each.largest is not None else ""
            unknown.append(f"{each.column}{largest}")
        elif each.stated_by == "zero_one":
            zero_one.append(each.column)
        else:
            by_file.append(f"{each.column} ({each.points:g})")
    said = []
    if unknown:
        said.append(
            f"the file states no points of {', '.join(unknown)}: write them in place of each ?"
        )
    if by_file:
        said.append(
            f"the file states the points of {', '.join(by_file)}: this mapping accepts them all"
        )
    if zero_one:
        said.append(
            f"{', '.join(zero_one)}: 1 is read as right and 0 as wrong; if 1 is not all, give items a scale"
        )
    return [escaped(each) for each in said]
