"""The templates of the page: the form suggests a mapping for each one that leaves nothing open, and all rows are accepted."""

import csv
import io
import re
from datetime import UTC, datetime

import pytest

from edugraph_common.contracts.records import RECORD_TYPES
from edugraph_common.sources.preview import preview
from edugraph_insights.page import WEB

LANGUAGES = ("en", "zh")
# The form maps all kinds of record except the actions of teachers, which no import writes.
KINDS = tuple(kind for kind in RECORD_TYPES if kind != "action_record")
LATEST = datetime(2026, 12, 1, tzinfo=UTC)


def content(language: str, kind: str) -> bytes:
    return (WEB / "templates" / language / f"{kind}.csv").read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_template_is_accepted_as_it_is(language: str, kind: str) -> None:
    """Out: rename any column of a template, or a name in `column_names.yaml`."""
    given = content(language, kind)
    header, *rows = csv.reader(io.StringIO(given.decode("utf-8-sig")))
    found = preview(f"{kind}.csv", given, None, LATEST, is_whole=True)
    assert found.problem is None
    assert found.open_points == ()
    assert (found.by_type, found.rejected) == ({kind: len(rows)}, 0)
    assert len(rows) == 2
    assert found.form is not None
    assert found.form.constants == {}
    # Each column gives a field of its own.
    fields = [column.field for column in found.form.columns]
    assert [column.column for column in found.form.columns] == header
    assert None not in fields
    assert len(set(fields)) == len(header)


def test_the_columns_of_both_languages_are_the_same_fields() -> None:
    for kind in KINDS:
        forms = []
        for language in LANGUAGES:
            found = preview("t.csv", content(language, kind), None, LATEST, is_whole=True)
            assert found.form is not None
            forms.append([column.field for column in found.form.columns])
        assert forms[0] == forms[1], kind


def test_the_page_offers_each_template() -> None:
    """Out: a kind in `TEMPLATES` of uploading.js."""
    source = (WEB / "uploading.js").read_text("utf-8")
    [listed] = re.findall(r"const TEMPLATES = \[(.*?)\];", source, re.DOTALL)
    assert sorted(re.findall(r"'(\w+)'", listed)) == sorted(KINDS)
    for language in LANGUAGES:
        files = (WEB / "templates" / language).iterdir()
        assert sorted(path.stem for path in files) == sorted(KINDS)
