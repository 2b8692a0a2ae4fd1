"""`edugraph formats`: the kinds of files that can be imported."""

from rich.table import Table

from edugraph_cli.display import out, say, show_json
from edugraph_cli.options import Json
from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.messages import Format


class FormatInfo(ContractModel):
    """A kind of file. `becomes` says which rows become which records. Other rows count as not relevant, by name."""

    format: Format
    reads: str
    becomes: str
    needs: str = ""


FORMATS = (
    FormatInfo(
        format="ndjson",
        reads="one record of the contract on each line (.ndjson, .jsonl)",
        becomes="every line: the record that it is",
    ),
    FormatInfo(
        format="csv",
        reads="a table with a header; delimiter and encoding are detected (UTF-8, UTF-16, GB18030, Big5, cp1252)",
        becomes="every row: one record of the mapping's type; of a wide table: an attempt for each cell",
        needs="a mapping file (--mapping)",
    ),
    FormatInfo(
        format="workbook",
        reads="the sheets of an .xlsx or .ods workbook that have the mapping's columns; titles may stand above them",
        becomes="as a csv; hidden sheets are counted and not read",
        needs="a mapping file (--mapping)",
    ),
    FormatInfo(
        format="parquet",
        reads="a Parquet file",
        becomes="as a csv",
        needs="a mapping file (--mapping)",
    ),
    FormatInfo(
        format="xapi",
        reads="xAPI statements (1.0.3 or 2.0), one on each line, as a JSON array, or as the answer of a store",
        becomes="registered, completed, passed, progressed on a course: course_record · answered, passed, failed, "
        "scored with a result, or an answer that is a text: attempt_record · commented, replied with a text in a "
        "course: post_record · commented, liked on a person: student_interaction · experienced, played, initialized "
        "and others in a course: activity_record",
    ),
    FormatInfo(
        format="openedx",
        reads="Open edX tracking logs, with or without the log's prefix, or single events",
        becomes="enrollment, course grade, passed: course_record · a problem_check, right or wrong: attempt_record · "
        "forum posts: post_record · votes, and posts that name whom they answer: student_interaction · videos, "
        "pages, exercises, forums: activity_record",
    ),
    FormatInfo(
        format="case",
        reads="standards in the JSON of CASE 1.0 or 1.1: a package, or a list of packages",
        becomes="every item: point_record, with its place (isChildOf), its prerequisites (precedes) and the same "
        "item of another framework (exactMatchOf)",
    ),
    FormatInfo(
        format="outline",
        reads="a table with a row for each point: id, parent, code, name, description, prerequisites, in English or "
        "Chinese; without a parent, the level or the blanks before the name say what is above",
        becomes="every row: point_record",
    ),
    FormatInfo(
        format="openstax",
        reads="a book of OpenStax: a ZIP of one collection and its modules, the collection alone (XML), or its "
        "tree (JSON)",
        becomes="every chapter and module: point_record; links of the notes `be-prepared` are prerequisites",
    ),
    FormatInfo(
        format="coherence_map",
        reads="the data of the coherence map of the Common Core (JSON)",
        becomes="every domain, cluster and standard: point_record; edges with a direction are prerequisites",
    ),
)


def list_formats(as_json: Json = False) -> None:
    """List the kinds of files that can be imported."""
    if as_json:
        show_json([each.model_dump() for each in FORMATS])
        return
    table = Table("format", "reads", "becomes", "needs", box=None, padding=(0, 2, 0, 0))
    for each in FORMATS:
        table.add_row(each.format, each.reads, each.becomes, each.needs)
    out.print(table)
    say("Each file may come as it is, or compressed with gzip or zstd.")
