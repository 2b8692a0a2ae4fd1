"""The client that is awaited, at insights in this process: questions, general queries, and a file of Parquet."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from arro3.io import read_parquet
from rooms import Room

from edugraph_client import AsyncClient, Refused
from edugraph_common.contracts.records import parse_record
from edugraph_insights.app import make_application
from edugraph_insights.questions import QUESTIONS

from .schools import NotedAudit, School, at, reading, written


def test_questions_queries_and_a_file_say_the_same_as_the_records(
    room: Room, tmp_path: Path
) -> None:
    tried = {"student_id": "s1", "item_id": "i", "course_id": "C", "correct": False}
    values = [
        {"type": "course_record", "data": {"student_id": "s1", "course_id": "C"}},
        {"type": "attempt_record", "data": {**tried, "knowledge_points": ["Fractions"]}},
    ]
    records = [
        parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"})
        for n, each in enumerate(values)
    ]
    written(room, School(records, []))
    found = reading(room, audit=NotedAudit())
    application = make_application(
        replace(found, settings=found.settings.model_copy(update={"auth": "off"}))
    )

    async def talk() -> None:
        transport = httpx.ASGITransport(application)
        async with (
            application.router.lifespan_context(application),
            AsyncClient("http://127.0.0.1", transport=transport) as client,
        ):
            assert {each.name for each in await client.questions()} == set(QUESTIONS)
            answer = await client.ask("weak-points", course="C")
            assert [(row["name"], row["wrong"]) for row in answer.rows] == [("Fractions", 1.0)]
            await client.save_answer(tmp_path / "a.parquet", "weak-points", course="C")
            with pytest.raises(Refused, match="no course X"):
                await client.ask("weak-points", course="X")
            nodes = await client.nodes("Student", begins="s")
            assert [each.node for each in nodes.nodes] == ["Student:s1"]
            details = await client.node("Student:s1")
            assert {each.type for each in details.counts} >= {"TRIED"}
            beside = await client.neighbours("Student:s1", type=["TRIED"])
            assert [each.type for each in beside.relationships] == ["TRIED"]
            around = await client.subgraph("Student:s1", depth=1, label=["Course"])
            assert "Course:C" in {each.node for each in around.nodes}
            path = await client.path("Student:s1", "Course:C")
            assert path.steps == 1
            assert len(path.nodes) == 2

    asyncio.run(talk())
    table = read_parquet(tmp_path / "a.parquet").read_all()
    assert table.column("name").to_pylist() == ["Fractions"]
    assert (
        json.loads(table.schema.metadata_str["edugraph"])["question"]
        == QUESTIONS["weak-points"].title
    )
