"""The templates to download: each link gives its file, and a file that was downloaded is imported as it is."""

import csv
import io
from pathlib import Path

import httpx
import pytest
from page.test_imports import choose, ended, numbers, tab_to
from page.visitor import Visitor

from edugraph_insights.page import WEB

pytestmark = pytest.mark.embedded

LANGUAGES = ("en", "zh")
KINDS = {"en": "attempts", "zh": "作答"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_template_is_downloaded_and_one_is_imported_by_keyboard(
    visit_demo: Visitor, language: str, tmp_path: Path
) -> None:
    """Nothing is changed or asked between. Out: `templates()` in `uploader`, or the `download` of a link."""
    shown = visit_demo.open("imports", lang=language)
    tab_to(shown, ".templates summary")
    shown.keyboard.press("Enter")
    links = shown.locator(".templates a")
    files = sorted((WEB / "templates").rglob("*.csv"))
    addresses = links.evaluate_all("all => all.map(each => each.href)")
    assert len(addresses) == len(files)
    sent = {httpx.get(address).raise_for_status().content for address in addresses}
    assert sent == {path.read_bytes() for path in files}

    tab_to(shown, f".templates a[hreflang={language}]")
    with shown.expect_download() as saved:
        shown.keyboard.press("Enter")
    assert saved.value.suggested_filename == f"{KINDS[language]}.csv"
    table = tmp_path / saved.value.suggested_filename
    saved.value.save_as(table)
    _, *rows = csv.reader(io.StringIO(table.read_text("utf-8-sig")))
    choose(shown, table)
    assert shown.locator("[data-asks]").count() == 0
    expected = {"valid": str(len(rows)), "rejected": "0", "not_relevant": "0"}
    assert numbers(shown, ".dry-run") == expected
    tab_to(shown, ".start")
    shown.keyboard.press("Enter")
    ended(shown, "succeeded")
    assert numbers(shown, ".job")["written"] == str(len(rows))
