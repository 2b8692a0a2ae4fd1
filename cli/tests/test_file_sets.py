"""Several files in one command, folders and archives: each is a job of its own, and one that is unusable stops none."""

import io
import json
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tables import xlsx
from typer.testing import CliRunner

from edugraph_cli.file_sets import files_of, is_set
from edugraph_cli.main import app
from edugraph_client import Client
from edugraph_common.sources.ndjson import MalformedFile

runner = CliRunner()
RECORD = b'{"type": "item_record", "timestamp": "2026-01-01", "data": {"item_id": "q"}}\n'
MAPPING = "{type: item_record, columns: {item: item_id}, constants: {timestamp: '2026-01-01'}}"
FILES = {
    "a.ndjson": RECORD,
    "sub/items.csv": b"item\nq1\n",
    "sub/items.yaml": MAPPING.encode(),
    "sub/more.xlsx": xlsx({"A": [["item"], ["q2"]]}),
    "sub/scan.pdf": b"%PDF-1.7",
    ".hidden": RECORD,
    "__MACOSX/a.ndjson": RECORD,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "term" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "given.yaml").write_text(MAPPING.replace("item_id", "record_id"))
    return tmp_path / "term"


def archive_of(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_folder_and_an_archive_of_it_hold_the_same_files_with_their_own_mappings(
    folder: Path,
) -> None:
    archive, given = folder.parent / "term.zip", folder.parent / "given.yaml"
    archive.write_bytes(archive_of(FILES))
    assert is_set(folder)
    assert is_set(archive)
    assert not is_set(folder / "sub" / "more.xlsx")
    with files_of([folder], given) as found:
        assert [(each.name, each.mapping and each.mapping.name) for each in found] == [
            ("term/a.ndjson", None),
            ("term/sub/items.csv", "items.yaml"),
            ("term/sub/more.xlsx", "given.yaml"),
            ("term/sub/scan.pdf", None),
        ]
    with files_of([archive], given) as unpacked:
        assert [each.name for each in unpacked] == [
            each.name.replace("term/", "term.zip/") for each in found
        ]
        assert all(
            each.path.read_bytes() == FILES[each.name.removeprefix("term.zip/")]
            for each in unpacked
        )
    assert not unpacked[0].path.exists()


def test_no_archive_writes_outside_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(archive_of({"../outside.ndjson": RECORD, "/root.ndjson": RECORD}))
    before = sorted(tmp_path.parent.rglob("*"))
    with files_of([archive], None) as found:
        assert [each.name for each in found] == ["a.zip/outside.ndjson", "a.zip/root.ndjson"]
    assert sorted(tmp_path.parent.rglob("*")) == before
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(MalformedFile, match="damaged"), files_of([archive], None):
        pass


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_an_archive_with_any_wrong_byte_is_read_or_refused_with_a_sentence(
    method: int, tmp_path: Path
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("成绩.ndjson", RECORD * 3)
        archive.writestr("sub/b.csv", b"item\nq1\n")
    whole = file.getvalue()
    damaged = tmp_path / "damaged.zip"
    for place in range(0, len(whole), 2):
        wrong = bytearray(whole)
        wrong[place] ^= 0x5A
        damaged.write_bytes(wrong)
        with suppress(MalformedFile), files_of([damaged], None) as found:
            assert len(found) <= 2


@pytest.mark.parametrize(
    "names", [["x.csv", "x.csv"], ["x.csv", "../x.csv"], ["x", "x/y.csv"], ["n" * 300 + ".csv"]]
)
def test_an_archive_whose_files_have_no_room_beside_each_other_is_refused(
    names: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "given.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile says that a name is used twice
        for name in names:
            archive.writestr(name, b"item\nq1\n")
    with pytest.raises(MalformedFile, match="archive"), files_of([path], None):
        pass


def test_names_of_files_in_chinese_are_read(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    # Chinese Windows writes the bytes of GB18030, and does not say so. Same length, so that only the name differs.
    content = archive_of({"ABCDEF.ndjson": RECORD}).replace(b"ABCDEF", "成绩册".encode("gb18030"))
    archive.write_bytes(content)
    with files_of([archive], None) as found:
        assert [each.name for each in found] == ["a.zip/成绩册.ndjson"]


def test_each_file_is_a_job_and_what_cannot_be_used_stops_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To take the guard out: let `send_one` catch no UnusableKind."""
    sent: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append({**dict(request.url.params), "body": request.read()})
        job_id = f"job-{len(sent)}"
        return httpx.Response(202, json={"job_id": job_id, "task_id": "t", "links": {}})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(
        Client, "from_environment", lambda: Client("http://gateway", transport=transport)
    )
    done = runner.invoke(
        app, ["import", "--json", "--mapping", str(folder.parent / "given.yaml"), str(folder)]
    )
    assert done.exit_code == 2, done.output
    outcomes = json.loads(done.stdout)
    assert [(each["file"], each["job_id"]) for each in outcomes] == [
        ("term/a.ndjson", "job-1"),
        ("term/sub/items.csv", "job-2"),
        ("term/sub/more.xlsx", "job-3"),
        ("term/sub/scan.pdf", None),
    ]
    assert "a PDF document" in outcomes[3]["error"]
    assert [(each["name"], each["format"]) for each in sent] == [
        ("term/a.ndjson", "ndjson"),
        ("term/sub/items.csv", "csv"),
        ("term/sub/more.xlsx", "workbook"),
    ]
    assert [each["body"] for each in sent] == [
        FILES[each["name"].removeprefix("term/")] for each in sent
    ]
    shown = runner.invoke(
        app, ["import", str(folder / "a.ndjson"), str(folder / "sub" / "scan.pdf")]
    )
    assert (shown.exit_code, len(sent)) == (2, 4)
    assert "a.ndjson\taccepted" in shown.stdout


def test_a_dry_run_says_of_each_file_what_an_import_would_do(folder: Path) -> None:
    done = runner.invoke(app, ["import", "--dry-run", str(folder), str(folder / "a.ndjson")])
    # The workbook has no mapping, so a suggestion is printed. A PDF is not read.
    assert done.exit_code == 2
    assert done.stdout.count("a.ndjson: ndjson") == 2
    assert "items.csv: csv" in done.stdout
    assert "# A suggested mapping (from the sheet A)" in done.stdout
    assert "a PDF document" in done.stderr


def test_one_file_of_an_unusable_kind_is_never_sent(folder: Path) -> None:
    done = runner.invoke(
        app,
        ["import", str(folder / "sub" / "scan.pdf")],
        env={"EDUGRAPH_URL": "http://127.0.0.1:1"},
    )
    assert done.exit_code == 2
    assert "it seems to be a PDF document" in done.stderr
