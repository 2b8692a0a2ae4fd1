"""A warehouse without persons has the protected answers, and nothing else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from arro3.io import read_parquet
from deltalake import DeltaTable
from fastapi.testclient import TestClient
from rooms import Room

from edugraph_cli.warehouse.cells import QUESTIONS, write_cells
from edugraph_cli.warehouse.delta import Delta
from edugraph_cli.warehouse.schema import STUDENTS
from edugraph_cli.warehouse.sync import sync
from edugraph_client import Client
from edugraph_common.contracts.errors import Rejected
from edugraph_common.contracts.records import parse_record
from edugraph_insights.app import make_application

from .schools import School, at, reading, written
from .test_api import Keys

MEMBERS = [f"learner-{number:02}" for number in range(40)]


@pytest.fixture
def transport(room: Room) -> Iterator[httpx.MockTransport]:
    """Insights that read a course of 40 students with attempts in several weeks."""
    records = []
    for number, student in enumerate(MEMBERS):
        data = {"student_id": student, "course_id": "C"}
        values: list[dict[str, Any]] = [{"type": "course_record", "data": data}]
        for item in ("i", "j", "k"):
            tried = {"item_id": item, "correct": number % 3 > 0, "knowledge_points": ["Fractions"]}
            values.append({"type": "attempt_record", "data": {**data, **tried}})
        for value in values:
            envelope = {"timestamp": at(24 * (number % 20)), "record_id": f"r{len(records)}"}
            records.append(parse_record({**value, **envelope}))
    written(room, School(records, []))
    found = reading(room)
    settings = found.settings.model_copy(update={"auth": "on"})
    application = make_application(replace(found, settings=settings, key_ring=Keys()))
    with TestClient(application, base_url="http://127.0.0.1") as client:

        def forward(request: httpx.Request) -> httpx.Response:
            address = request.url.raw_path.decode()
            answer = client.request(request.method, address, headers=dict(request.headers))
            headers = {"content-type": answer.headers["content-type"]}
            return httpx.Response(answer.status_code, headers=headers, content=answer.content)

        yield httpx.MockTransport(forward)


def caller(transport: httpx.MockTransport, role: str) -> Client:
    return Client("http://127.0.0.1", f"eg_{role}", transport=transport)


def test_tables_without_persons_are_the_answers_for_analysts(
    transport: httpx.MockTransport, tmp_path: Path
) -> None:
    """Out: append the answers of one course twice, or leave out the course."""
    with caller(transport, "analyst") as client:
        counts = write_cells(client, str(tmp_path))
        assert write_cells(client, str(tmp_path)) == counts
        for question in QUESTIONS:
            name = f"cells_{question.replace('-', '_')}"
            answer = client.ask(question, course="C")
            assert not answer.exact
            assert counts[name] == len(answer.rows)
            rows = 0
            for file in DeltaTable(str(tmp_path / name)).file_uris():
                table = read_parquet(file.removeprefix("file://")).read_all()
                assert set(table["of_course"].to_pylist()) == {"C"}
                rows += table.num_rows
            assert rows == len(answer.rows)
        assert counts["cells_weak_points"] == 1
    content = b""
    for path in tmp_path.rglob("*"):
        if path.suffix == ".parquet":
            content += repr(read_parquet(path).read_all().to_struct_array().to_pylist()).encode()
        if path.is_file():
            content += path.read_bytes()
    assert b"Fractions" in content
    assert [who for who in MEMBERS if who.encode() in content] == []


@pytest.mark.parametrize("role", ["teacher", "head"])
def test_answers_that_are_not_protected_are_refused(
    transport: httpx.MockTransport, tmp_path: Path, role: str
) -> None:
    """To take the guard out: the condition of `sees`."""
    with caller(transport, role) as client, pytest.raises(Rejected, match="role analyst"):
        write_cells(client, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_tables_with_and_without_persons_are_not_in_one_folder(
    transport: httpx.MockTransport, tmp_path: Path
) -> None:
    """Out, each alone: the conditions of `exists`."""
    with_persons = tmp_path / "with"
    Delta(str(with_persons / "students"), STUDENTS)
    without = tmp_path / "without"
    with caller(transport, "analyst") as client:
        with pytest.raises(Rejected, match="with persons"):
            write_cells(client, str(with_persons))
        write_cells(client, str(without))
        with pytest.raises(Rejected, match="without persons"):
            sync(client, str(without), whole=False)
