"""One pack of findings, in one transaction, once: the records by the code of an import, then what was found."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import neo4j

from edugraph_common.contracts.findings import KIND_OF_TYPE, RecordFinding
from edugraph_common.contracts.graph_schema import RECORD_LABELS
from edugraph_common.contracts.messages import Findings
from edugraph_common.contracts.outcomes import FindingsOutcome
from edugraph_common.contracts.records import Record, parse_record
from edugraph_common.sources.rows import as_invalid_record
from edugraph_importer.graph import claims, found, orphans, recounting, replacing, stated
from edugraph_importer.graph.book import Book, Row
from edugraph_importer.graph.claims import Plan
from edugraph_importer.graph.revision import Changes, Revision, changes
from edugraph_importer.graph.sorting import Forgotten, Held, Sorted, held, sort_out
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.writing import open_book, run, write_rows, write_states

_NOT_VALID = "a finding came without a valid record of its kind"


@dataclass(slots=True)
class Stored:
    """What the graph knows of the records of a pack."""

    held: dict[str, Held] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)


def write(tx: neo4j.ManagedTransaction, message: Findings) -> FindingsOutcome:
    earlier = tx.run(CYPHER["pack_outcome"], id=_pack(message)).single()
    if earlier is not None:
        return FindingsOutcome.model_validate_json(earlier["outcome"])
    pairs = [pair for pair in map(_with_record, message.findings) if pair is not None]
    if any(record.type == "course_content" for record, _ in pairs):
        claims.lock(tx)
    stored = _lock_records(tx, [record for record, _ in pairs])
    forgotten = Forgotten(tx, [record for record, _ in pairs])
    sorted_out = sort_out(list(enumerate(record for record, _ in pairs)), stored.held, forgotten)
    planned = _apply(tx, sorted_out, _revisions(pairs, sorted_out, stored), forgotten)
    outcome = _outcome(message, sorted_out, planned, len(message.findings) - len(pairs))
    _write_ledger(tx, message, outcome)
    return outcome


def _apply(tx: neo4j.ManagedTransaction, sorted_out: Sorted, revisions: list[Revision], forgotten: Forgotten) -> Plan:
    old = replacing.read(tx, sorted_out.replaced)
    planned = claims.plan(tx, revisions, old.said)
    nodes = old.nodes | {node for record in sorted_out.records for node in stated.nodes(record)}
    nodes |= {node for revision in revisions for node in revision.nodes()} | {*planned.nodes()}
    book = open_book(tx, nodes, ())
    forgotten.check()
    replacing.take_back(tx, book, old)
    for record, content_hash in sorted_out.new:
        book.add(record, content_hash)
    gathered = changes(revisions, book)
    write_rows(tx, book)
    _write_revisions(tx, revisions)
    claims.write(tx, planned)
    _settle(tx, book, gathered)
    orphans.delete(tx, old.nodes)
    return planned


def _settle(tx: neo4j.ManagedTransaction, book: Book, gathered: Changes) -> None:
    """The aggregates, once all records and their links are as they shall be."""
    run(tx, "raise_relates_to", _relates_rows(gathered))
    run(tx, "raise_contains", _contains_rows(gathered))
    recounting.relates_to(tx, gathered.recount_relates)
    recounting.contains(tx, gathered.recount_contains)
    recounting.has_error(tx, gathered.recount_errors)
    recounting.spellings(tx, book, gathered.respell)
    recounting.descriptions(tx, book, gathered.redescribe)
    write_states(tx, book)
    orphans.delete(tx, gathered.dropped)


def _with_record(finding: RecordFinding) -> tuple[Record, RecordFinding] | None:
    try:
        record = parse_record(finding.record)
        stated.derive(record)
    except Exception as fault:  # noqa: BLE001 - the boundary of the row
        as_invalid_record(fault)
        return None
    return (record, finding) if KIND_OF_TYPE.get(record.type) == finding.finding.kind else None


def _lock_records(tx: neo4j.ManagedTransaction, records: Iterable[Record]) -> Stored:
    ids, stored = sorted({record.record_id for record in records}), Stored()
    for label in RECORD_LABELS if ids else ():
        row = tx.run(CYPHER[f"lock_records_{label}"], ids=ids).single(strict=True)
        for known, timestamp, content_hash, finding in row["records"]:
            stored.held[known] = held(label, timestamp, content_hash)
            if finding is not None:
                stored.findings[known] = finding
    return stored


def _revisions(pairs: Iterable[tuple[Record, RecordFinding]], sorted_out: Sorted, stored: Stored) -> list[Revision]:
    """Of a record that comes twice, the last finding; none where nothing changes."""
    for replaced in sorted_out.replaced:
        stored.findings.pop(replaced, None)  # it was about the older text, and goes with it
    # Last of all what is written now: an older version may have been unchanged until here.
    hashes = {record.record_id: record.content_hash for record in (*sorted_out.unchanged, *sorted_out.records)}
    last = {record.record_id: (record, finding) for record, finding in pairs if _is(record, hashes)}
    made = (_revision(record, finding, stored) for record, finding in last.values())
    return [revision for revision in made if revision.text != stored.findings.get(revision.record.record_id)]


def _is(record: Record, hashes: Mapping[str, str]) -> bool:
    return hashes.get(record.record_id) == record.content_hash


def _revision(record: Record, finding: RecordFinding, stored: Stored) -> Revision:
    old = found.of_stored(stored.findings.get(record.record_id))
    return Revision(record, finding, old, found.found(finding.finding), found.stored(finding))


def _write_revisions(tx: neo4j.ManagedTransaction, revisions: Iterable[Revision]) -> None:
    rows: dict[str, list[Row]] = defaultdict(list)
    for revision in revisions:
        known = revision.record.record_id
        properties = found.node_properties(revision.finding, revision.text)
        rows[f"set_finding_{revision.label}"].append({"id": known, "p": properties})
        for kind, end in revision.dropped():
            rows[f"unlink_{kind}"].append({"id": known, "end": end})
        for kind, end, link in revision.links():
            rows[f"link_{kind}"].append({"id": known, "end": end, "p": link})
    for name in sorted(rows):
        run(tx, name, rows[name])


def _relates_rows(gathered: Changes) -> list[Row]:
    return [
        {"from": kind, "to": point, "strength": strength, "confidence": confidence}
        for (kind, point), (strength, confidence) in sorted(gathered.raised_relates.items())
    ]


def _contains_rows(gathered: Changes) -> list[Row]:
    return [
        {"from": course, "to": point, "importance": importance, "order": order}
        for (course, point), (importance, order) in gathered.raised_contains.items()
    ]


def _outcome(message: Findings, sorted_out: Sorted, planned: Plan, invalid: int) -> FindingsOutcome:
    refused = [reject.reason for reject in sorted_out.rejects]
    error = message.error or (_NOT_VALID if invalid else None)
    error = error or (f"the record {refused[0]}" if refused else None)
    return FindingsOutcome(
        job_id=message.job_id,
        pack=message.pack,
        state="written",
        findings=len(message.findings) - invalid - len(refused),
        failed=message.failed + invalid + len(refused),
        set_aside=planned.aside,
        error=error,
    )


def _pack(message: Findings) -> str:
    edition = f":{message.edition}" if message.edition else ""
    return f"{message.job_id}:{message.pack}{edition}"


def _write_ledger(tx: neo4j.ManagedTransaction, message: Findings, outcome: FindingsOutcome) -> None:
    tx.run(
        CYPHER["write_pack_outcome"],
        id=_pack(message),
        job_id=message.job_id,
        pack=message.pack,
        outcome=outcome.model_dump_json(),
    ).consume()
