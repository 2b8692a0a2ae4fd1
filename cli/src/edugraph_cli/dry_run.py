"""`edugraph import --dry-run`: what an import would do, found out here, without a gateway."""

from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from edugraph_cli.display import FAILED, INVALID, print_table, say, show_json, stop
from edugraph_common.contracts.messages import TABLE_FORMATS, Format
from edugraph_common.sources import UTF8, ReadPlan, parse_mapping
from edugraph_common.sources.detection import HEAD_BYTES, DetectedFile, chosen_format, detect_file
from edugraph_common.sources.dry_run import DryRun, dry_run
from edugraph_common.sources.first_table import first_table
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.rows import MAX_FUTURE


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
    table = first_table(file, detected)
    suggestion = table.suggestion()
    if table.plan and table.plan.header:
        read_as = f"{_encoding_words(table.plan, detected)}, delimiter {table.plan.header.delimiter!r}"
    else:
        read_as = f"from the sheet {table.sheet}" if table.sheet else "from the first rows"
    say(f"# A suggested mapping ({read_as}). Save and check it, then run")
    say(f"# edugraph import --dry-run --mapping FILE {path}")
    for point in suggestion.open_points:
        say(f"# {point}")
    say(suggestion.mapping.rstrip())
