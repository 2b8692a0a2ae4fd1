"""`edugraph-digest` as a process of its own, on a graph that is made up. Tests start and kill it.

Each teacher leads one student, except those who are named in the environment variable MADE_LOST. The course `gone` does
not exist. Messages to Slack go to the address in MADE_SLACK.
"""

import os
from typing import Any
from unittest.mock import patch

from apprise.plugins.slack import NotifySlack

from edugraph_insights import insights
from edugraph_insights.asking import NoSuchCourse
from edugraph_insights.digest import chatting, main, sending
from edugraph_insights.digest.lines import Line

GROUP = "g1"  # the only group in which a teacher leads somebody
# As somebody may import it, to write headers and a body of their own.
HOSTILE_NAME = "Maths\r\nBcc: everybody@evil.example\r\n\r\nClick\u2028here\u202e"


class MadeGraph:
    """The statements that the run itself reads."""

    def __init__(self, _settings: Any) -> None:
        self._lost = os.environ.get("MADE_LOST", "").split()

    def read(self, statement: str, **parameters: Any) -> list[dict[str, Any]]:
        if statement == "students_led":
            if parameters["person"] in self._lost or parameters["group"] not in {None, GROUP}:
                return []
            return [{"student": "s1"}]
        if statement == "not_restricted":
            return [{"student": each} for each in parameters["students"] if each != "restricted"]
        if statement == "students_of_course":
            return [{"students": ["s1"]}]
        if statement == "first_course_record":
            return [{"student": who, "at": None} for who in parameters["students"]]
        if statement == "course_name":
            if parameters["course"] == "gone":
                return []
            return [{"name": HOSTILE_NAME}]
        assert statement == "owner_of", statement
        return []

    def close(self) -> None: ...


def made_lines(
    _insights: Any,
    caller: Any,
    course: str,
    _language: str,
    *,
    group: str | None = None,
    own_list: str | None = None,
) -> list[Line]:
    text = f"Repeat what {caller.person} taught."
    part = group or own_list
    if part is not None:
        text = f"Repeat what {caller.person} taught {part}."
    return [Line(text, f"https://school.example/ui/#today?{course}")]


def made_chat_lines(_insights: Any, course: str, _language: str) -> list[Line]:
    if course == "gone":
        raise NoSuchCourse(404, "not-found", "There is no such course")
    return [Line("Fractions went wrong.", f"https://school.example/ui/#overview?course={course}")]


def to_made_slack() -> None:
    """Let messages to Slack go to the server of the test, without waits between them."""
    NotifySlack.webhook_url = os.environ["MADE_SLACK"]
    NotifySlack.request_rate_per_sec = 0


if __name__ == "__main__":
    if "MADE_SLACK" in os.environ:
        to_made_slack()
    with (
        patch.object(insights, "Graph", MadeGraph),
        patch.object(sending, "lines_of", made_lines),
        patch.object(chatting, "chat_lines_of", made_chat_lines),
    ):
        main.main()
