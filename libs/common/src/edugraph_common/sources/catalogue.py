"""The sources that there are, for people."""

from edugraph_common.contracts.contract_model import Frozen
from edugraph_common.contracts.messages import Format


class SourceInfo(Frozen):
    """`becomes`: which rows become which records; all else is counted as not relevant, by name."""

    format: Format
    reads: str
    becomes: str
    needs: str = ""


_SOURCES = (
    SourceInfo(
        format="ndjson",
        reads="one record of the contract a line (.ndjson, .jsonl)",
        becomes="every line: the record it is",
    ),
    SourceInfo(
        format="csv",
        reads="a table with a header; delimiter and encoding are found out (UTF-8, UTF-16, GB18030, Big5, cp1252)",
        becomes="every row: one record of the mapping's type",
        needs="a mapping file (--mapping)",
    ),
    SourceInfo(
        format="xapi",
        reads="xAPI 1.0.3 statements, one a line or as a JSON array",
        becomes="registered, completed, passed, progressed, earned on a course: course_record · a wrong answer: "
        "error_record · commented, liked on a person: student_interaction",
    ),
    SourceInfo(
        format="openedx",
        reads="Open edX tracking logs, with or without the log's prefix, or single events",
        becomes="enrollment, course grade, passed: course_record · an incorrect problem_check: error_record · "
        "forum votes, and posts that name whom they answer: student_interaction",
    ),
)


def describe() -> tuple[SourceInfo, ...]:
    """What `edugraph sources` lists. Each may come as it is, or packed with gzip or zstd."""
    return _SOURCES
