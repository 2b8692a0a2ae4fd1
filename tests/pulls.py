"""A gateway with a source to pull into, and the command that pulls."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest
from gateway_alone import Gateway
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.shared_state.api_keys import ApiKeys
from edugraph_common.runtime.shared_state.job_store import connect


@dataclass(frozen=True)
class Target:
    """A source of a gateway, with a key of its own."""

    gateway: Gateway
    name: str
    token: str

    @property
    def environment(self) -> dict[str, str]:
        return {"EDUGRAPH_URL": self.gateway.url, "EDUGRAPH_API_KEY": self.token}

    def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.get(f"{self.gateway.url}{path}", headers=headers, timeout=20).json()

    def imported(self) -> Counter[str]:
        """Return the number of jobs of each name."""
        names: Counter[str] = Counter()
        path = "/v1/jobs?limit=100"
        while path:
            page = self.get(path)
            names.update(job["source"] for job in page["jobs"])
            path = page["links"].get("next", "")
        return names


@contextmanager
def target(guarded: Gateway, **settings: Any) -> Iterator[Target]:
    """Yield a new source, and set the environment of the command to it."""
    keys = ApiKeys(connect(guarded.environment["EDUGRAPH_REDIS_URL"]))
    scopes: tuple[Scope, ...] = ("submit", "roster", "read:own", "operate")
    made = keys.create("pull", scopes, datetime.now(UTC))
    name = f"lms-{token_hex(4)}"
    own = Target(guarded, name, made.token)
    body = {"name": name, "keys": [made.key.key_id], **settings}
    answer = httpx.post(
        f"{guarded.url}/v1/sources",
        json=body,
        headers={"Authorization": f"Bearer {made.token}"},
        timeout=20,
    )
    assert answer.status_code == 201, answer.text
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in own.environment.items():
            patch.setenv(variable, value)
        yield own


@dataclass(frozen=True)
class Pulled:
    """The outcome of a command: its exit code, the names of imported parts in order, and the sentences."""

    code: int
    names: list[str]
    problems: list[str]


def pull(kind: str, *arguments: str | Path) -> Pulled:
    """Run `edugraph pull` in this process."""
    command = ["pull", kind, *map(str, arguments), "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code in (0, 1), done.output
    report = json.loads(done.stdout)
    return Pulled(done.exit_code, list(report["jobs"]), report["problems"])
