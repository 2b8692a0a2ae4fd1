"""ADL's conformance suite for learning record stores, as it is, against a strict source of a real gateway.

`make xapi-conformance SUITE=folder` runs it. The folder is a checkout of lrs-conformance-test-suite. The receiver is not
a learning record store, so some parts fail by design; docs/api.md lists them, and `BY_DESIGN` has their tests.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_alone import Gateway, XapiSender, gateway, virtual_host

SUITE = os.environ.get("XAPI_SUITE", "")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SUITE, reason="make xapi-conformance SUITE=folder names the suite"),
]
LIST_OF_STATEMENTS = (
    r"StatementResult|using GET( |$)|\"more\"|voidedStatementId|StatementResult Object"
)
# The start of a chapter of the suite -> the tests in it that fail by design.
BY_DESIGN = (
    ("Activities Resource", r""),
    ("Activity Profile Resource", r""),
    ("Agent Profile Resource", r""),
    ("Agents Resource", r""),
    ("State Resource", r""),
    ("Document Resource", r""),
    ("Concurrency", r""),
    ("Alternate Request Syntax", r""),
    ("Retrieval of Statements", r""),
    ("Signed Statements", r"signature|JSON serialization|another algorithm"),
    ("Statement Resource", LIST_OF_STATEMENTS),
    ("Statement Resource", r"GET( with \"|$)|empty array list|content-type header|attachment"),
    ("Statement Resource", r"\"statements\" property|still returns Statements|matching language"),
    ("HEAD Request", r"HEAD (activities|agents|statements)|without Content-Length"),
    ("About Resource", r"using (Activities|Agents)"),
    ("Statement Lifecycle", r"voidedStatementId|void an already voided"),
    ("Encoding", r"interpreted as UTF-8"),
    # Without id and time, its content is that of a statement that the suite has voided.
    ("Id Property", r"complete an empty id property"),
    ("Stored Property", r"retrieve statements"),
    ("Special Data Types", r"retrieve statements"),
    ("Additional Requirements for Data Types", r"storing or comparing IRIs"),
    ("Error Codes", r"not persist any statements"),
    # A request without a version is answered as 1.0.3, which the suite of 1.0.3 asks for.
    ("Versioning", r"Statement (GET|POST|PUT) without header \"X-Experience-API-Version\""),
)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("conformance")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as running:
        yield running


def failures(part: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the chapter and the titles of each test that failed. A title may be long."""
    titles = (*above, str(part.get("title") or part.get("name") or ""))
    inner = [each for each in part.get("tests") or [] if each]
    if not inner:
        yield titles[1], " / ".join(titles[2:])
    for each in inner:
        yield from failures(each, titles)


def is_by_design(chapter: str, titles: str) -> bool:
    for start, pattern in BY_DESIGN:
        name = chapter.rpartition(") ")[2] if chapter.startswith("(") else chapter
        if name.startswith(start) and re.search(pattern, titles):
            return True
    return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["1.0.3", "2.0.0"])
def test_what_fails_is_listed(guarded: Gateway, version: str) -> None:
    sender = XapiSender(guarded, "submit", "personal", strict=True)
    command = ["node", "bin/console_runner.js", "-e", f"{guarded.url}/xapi", "-a", "-z"]
    command += ["-u", sender.key_id, "-p", sender.secret, "-x", version]
    done = subprocess.run(command, cwd=SUITE, capture_output=True, text=True, check=False)
    written = re.search(r"Full run log written to (\S+)", done.stdout)
    assert written, done.stdout[-2_000:] + done.stderr[-2_000:]
    report = json.loads(Path(written[1]).read_text())
    chapters: Counter[str] = Counter()
    unexpected = []
    for chapter, titles in failures(report["log"]):
        chapters[chapter] += 1
        if not is_by_design(chapter, titles):
            unexpected.append(f"{chapter}: {titles}")
    sys.stdout.write(f"\n{version}: {report['summary']}\n")
    for chapter, number in chapters.most_common():
        sys.stdout.write(f"{number:5}  {chapter}\n")
    assert unexpected == []
    # A suite that could not send would fail in nothing that is listed here.
    assert report["summary"]["passed"] > 1_000
