"""`edugraph import --dry-run`: what an import would do, found out here, without a gateway."""

import csv
import io
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path
from typing import IO

from pydantic import Field

from edugraph_cli.detection import HEAD_BYTES, DetectedFile, chosen_format, detect_file
from edugraph_cli.display import FAILED, INVALID, print_table, say, show_json, stop
from edugraph_cli.mapping_suggestion import suggest_mapping
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import TABLE_FORMATS, Compression, Format
from edugraph_common.contracts.outcomes import WITHDRAWAL, Reject
from edugraph_common.contracts.records import Record, Withdrawal
from edugraph_common.sources import UTF8, Mapping, NotRelevant, ReadPlan, open_text, parse_mapping
from edugraph_common.sources.binary_files import TableFormat
from edugraph_common.sources.cells import cell_text
from edugraph_common.sources.compression import decompressed_blocks
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import MAX_FUTURE
from edugraph_common.sources.table_files import sheet_rows
from edugraph_common.sources.table_rows import HEADER_ROWS, column_names, likely_header

SHOWN_REJECTS = 20
_ROWS_OF_A_CHUNK = 1_000
_ROWS_FOR_A_SUGGESTION = 50


class DryRun(ContractModel):
    """`valid`, `rejected` and `not_relevant` add up to `read`. `by_type` counts the valid rows."""

    read_plan: ReadPlan = Field(serialization_alias="reading")
    read: int
    valid: int
    rejected: int
    by_type: dict[str, int]
    reasons: dict[str, int]
    not_relevant: dict[str, int]
    errors: tuple[Reject, ...]


def dry_run(
    file: IO[bytes],
    file_format: Format,
    mapping: Mapping | None = None,
    compression: Compression | None = None,
    *,
    shown_rejects: int = SHOWN_REJECTS,
    latest: datetime | None = None,
) -> DryRun:
    """Read the whole file once, as the import would, and keep the first `shown_rejects` rejects.

    `latest`: the latest timestamp that a record may have.

    Raises MalformedFile.
    """
    plan, text = open_text(file, file_format, compression, mapping)
    types, reasons, not_relevant = Counter[str](), Counter[str](), Counter[str]()
    errors: list[Reject] = []
    source = plan.source
    for chunk in source.chunks(text, _ROWS_OF_A_CHUNK):
        for _, row in source.rows(chunk.text, chunk.first_line, latest):
            match row:
                case Record():
                    types[row.type] += 1
                case Withdrawal():
                    types[WITHDRAWAL] += 1
                case NotRelevant():
                    not_relevant[row.name] += 1
                case Reject():
                    reasons[row.reason] += 1
                    if len(errors) < shown_rejects:
                        errors.append(row)
    valid, rejected = types.total(), reasons.total()
    return DryRun(
        read_plan=plan,
        read=valid + rejected + not_relevant.total(),
        valid=valid,
        rejected=rejected,
        by_type=dict(sorted(types.items())),
        reasons=dict(reasons.most_common()),
        not_relevant=dict(not_relevant.most_common()),
        errors=tuple(errors),
    )


def print_dry_run(
    path: Path, mapping_path: Path | None, file_format: Format | None = None, *, as_json: bool = False
) -> int:
    """Print what an import of the file would do, or a suggested mapping for a table that comes without one.

    Returns the exit code: 0 if every row is valid or not relevant, 1 if some are not, 2 for a file that an import
    cannot use. `file_format` overrules what the file looks like.
    """
    try:
        with path.open("rb") as file:
            detected = detect_file(path.name, file.read(HEAD_BYTES))
            mapping = parse_mapping(mapping_path.read_bytes()) if mapping_path else None
            chosen = chosen_format(detected, file_format, has_mapping=mapping is not None)
            detected = detected.model_copy(update={"format": chosen})
            file.seek(0)
            if detected.format in ("csv", *TABLE_FORMATS) and mapping is None and not as_json:
                _print_suggestion(file, path, detected)
                return INVALID
            report = dry_run(
                file, detected.format, mapping, detected.compression, latest=datetime.now(UTC) + MAX_FUTURE
            )
    except MalformedFile as problem:
        stop(f"{path}: {problem}", INVALID)
    if as_json:
        show_json({"detected": detected.model_dump(mode="json"), **report.model_dump(mode="json", by_alias=True)})
    else:
        _print_report(path, detected, report)
    return FAILED if report.rejected else 0


def _print_report(path: Path, detected: DetectedFile, report: DryRun) -> None:
    header = report.read_plan.header
    table = f", {_encoding_words(report.read_plan, detected)}, delimiter {header.delimiter!r}" if header else ""
    compression = f", {detected.compression}" if detected.compression else ""
    say(f"{path.name}: {detected.format}{table}{compression}; nothing was written")
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
    if report.errors:
        say("The first rows that would be rejected")
    for error in report.errors:
        found = f", found {error.found}" if error.found else ""
        say(f"  {error.place}: {error.field} {error.reason} (expected {error.expected}{found})")


def _encoding_words(plan: ReadPlan, detected: DetectedFile) -> str:
    """Say which encoding it is and how sure that is, unless the mapping names it or it is UTF-8."""
    if plan.encoding == UTF8 or (plan.mapping and plan.mapping.encoding):
        return plan.encoding
    others = f"{detected.encoding_lead:.0%} ahead of {detected.next_best_encoding}"
    return f"{plan.encoding} (detected, {others if detected.next_best_encoding else 'no other fits'})"


def _print_suggestion(file: IO[bytes], path: Path, detected: DetectedFile) -> None:
    """Print a mapping file whose open points are comments, so that standard output can be saved as it is."""
    if detected.format == "csv":
        plan, text = open_text(file, "csv", detected.compression)
        header = plan.header
        assert header is not None  # noqa: S101 - every CSV has a header
        body = next(text, b"")[header.size :].decode(errors="replace")
        rows = list(islice(csv.reader(io.StringIO(body), delimiter=header.delimiter), _ROWS_FOR_A_SUGGESTION))
        suggestion = suggest_mapping(header.columns, rows)
        read_as = f"{_encoding_words(plan, detected)}, delimiter {header.delimiter!r}"
    else:
        sheet, columns, rows = _first_table(file, detected)
        suggestion = suggest_mapping(columns, rows, sheet)
        read_as = f"from the sheet {sheet}" if sheet else "from the first rows"
    say(f"# A suggested mapping ({read_as}). Save and check it, then run")
    say(f"# edugraph import --dry-run --mapping FILE {path}")
    for point in suggestion.open_points:
        say(f"# {point}")
    say(suggestion.mapping.rstrip())


def _first_table(file: IO[bytes], detected: DetectedFile) -> tuple[str | None, tuple[str, ...], list[list[str]]]:
    """Return the name of the first sheet with a table, the names of its columns, and its first rows.

    Raises MalformedFile.
    """
    table_format: TableFormat = "parquet" if detected.format == "parquet" else "workbook"
    found = sheet_rows(decompressed_blocks(file, detected.compression), table_format)
    with closing(found):
        for sheet, group in groupby(found, key=lambda row: row.sheet):
            rows = [row for row in islice(group, HEADER_ROWS + _ROWS_FOR_A_SUGGESTION) if not row.is_blank]
            place = likely_header(rows[:HEADER_ROWS])
            if place is not None:
                columns = column_names(rows[place].cells or ())
                cells = [list(map(cell_text, row.cells or ())) for row in rows[place + 1 :]]
                return sheet, columns, cells
    raise MalformedFile("no sheet holds a table whose first rows name the columns")
