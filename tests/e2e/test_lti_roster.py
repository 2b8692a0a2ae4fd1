"""The members of a course at a learning platform are in the graph within a minute, and those who leave are not."""

import time
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from engines import System
from platforms_pulled import Platform, running
from pulls import pull
from waiting import until

pytestmark = [pytest.mark.real, pytest.mark.parametrize("engine", ["real"], indirect=True)]
STUDENTS = 1_000
WITHIN_SECONDS = 60
LIST = "/course/7/members"


def member(name: str, role: str) -> dict[str, Any]:
    return {"user_id": name, "roles": [role], "name": f"Name of {name}"}


def test_a_thousand_members_come_and_one_leaves_and_comes_back(
    clean: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: the withdrawal of who left in lti.py, `inner` in `pull`, or `timestamp` in `_line`."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    monkeypatch.setenv("EDUGRAPH_LTI_KEY", pem)
    monkeypatch.setenv("EDUGRAPH_URL", clean.url)
    source = f"s-{uuid4().hex[:8]}"
    clean.client.create_source({"name": source, "kind": "roster"})
    members = [member(f"s{number}", "Learner") for number in range(STUDENTS)]
    members.append(member("t1", "Instructor"))
    context = {"id": "7", "title": "Algebra"}

    def counted() -> dict[str, int]:
        nodes = clean.client.graph_summary().nodes
        return {name: nodes.get(name, 0) for name in ("Membership", "Group", "Student", "Teacher")}

    with running(Platform({LIST: lambda _: members}, page=100, members_of=context)) as platform:

        def round_done() -> Any:
            return pull(
                "lti", source, "--members", f"{platform.url}{LIST}", "--platform", "https://lms.school.example",
                "--client-id", "edugraph", "--token-url", f"{platform.url}/token",
            )  # fmt: skip

        began = time.monotonic()
        assert round_done().code == 0
        whole = {"Membership": STUDENTS + 1, "Group": 1, "Student": STUDENTS, "Teacher": 1}
        until(lambda: counted() == whole, WITHIN_SECONDS)
        assert time.monotonic() - began < 2 * WITHIN_SECONDS
        assert round_done().names == []

        gone = members.pop(3)
        assert len(round_done().names) == 1
        until(lambda: counted()["Membership"] == STUDENTS, WITHIN_SECONDS)
        assert round_done().names == []

        members.append(gone)
        assert len(round_done().names) == 1
        until(lambda: counted()["Membership"] == STUDENTS + 1, WITHIN_SECONDS)
