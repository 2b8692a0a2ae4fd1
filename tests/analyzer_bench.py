"""The bench of tests of the analyzer: a pipeline on a scripted provider, and packs of chats for it."""

import re
from pathlib import Path
from typing import Any

import httpx2
import redis

from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.messages import Analysis, CourseContext

MODELS_PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
# The name of a provider in docs/models.md, and the parameters of its models.
RECIPES = {
    cells[0]: [
        words for words in re.findall(r"`([^`]+)`", cells[2]) if re.match(r"[a-z_]+ = ", words)
    ]
    for cells in (
        [cell.strip() for cell in line.strip("| ").split(" | ")]
        for line in MODELS_PAGE.splitlines()
    )
    if len(cells) == 3 and cells[1].startswith("`http")
}


class Provider:
    def __init__(self, url: str) -> None:
        self.url, self._root = url, url.removesuffix("/v1")

    def script(self, **script: Any) -> None:
        httpx2.post(f"{self._root}/script", json=script)

    def requests(self) -> list[dict[str, Any]]:
        return list(httpx2.get(f"{self._root}/log?bodies=1").json()["requests"])


def pipeline(server: "redis.Redis", provider: Provider, name: str, **settings: Any) -> Pipeline:
    chosen: dict[str, Any] = (
        {
            "requests_per_minute": 6_000,
            "prices": {name: {"input": 1.0, "output": 2.0}},
            "call_timeout_seconds": 5,
            "one_student_per_pack": False,  # the chats below are of many students, and packs are what is tried
        }
        | settings
    )
    made = AnalyzerSettings(openai_api_key=name, openai_base_url=provider.url, model=name, **chosen)
    return Pipeline(made, server)


def chats(
    name: str, count: int, job: str = "", texts: int | None = None, prefix: str = ""
) -> Analysis:
    records = [
        {
            "type": "student_interaction",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": f"r{number}",
            "data": {
                "student_id_from": f"stu-{number:04}",
                "student_name_from": "Maria Gonzalez",
                "student_id_to": "stu-9999",
                "interaction_type": "chat",
                "text": f"{prefix}message {number % (texts or count)} of {name}: why do we need a common denominator?",
            },
        }
        for number in range(count)
    ]
    return Analysis(job_id=job or name, pack="p", kind="interaction", records=tuple(records))


def mistake(name: str, text: str) -> Analysis:
    """A pack of one mistake of the course `name`."""
    data = {"student_id": "stu-0001", "course_id": name, "error_text": text}
    record = {
        "type": "error_record",
        "timestamp": "2026-01-05T08:00:00Z",
        "record_id": "m1",
        "data": data,
    }
    return Analysis(job_id=name, pack="p", kind="error", records=(record,))


def course(name: str, *points: str) -> CourseContext:
    return CourseContext(course_id=name, name="Maths", knowledge_points=points)


def keys(server: "redis.Redis", what: str) -> set[bytes]:
    """Of all answers or leases: they are named for what was asked, so who made one is told only by when it came."""
    return set(server.scan_iter(match=f"edugraph:llm:{what}:*", count=1_000))
