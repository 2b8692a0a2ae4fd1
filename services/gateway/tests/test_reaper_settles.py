"""Each minute a gateway has prerequisites derived, so that a lost message leaves none as they were."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from edugraph_common.runtime.shared_state.job_store import QuietJob
from edugraph_gateway.operations.reaper import reap


@dataclass
class Sent:
    """A submitter whose jobs are all well, and what it has sent."""

    has_turn: bool
    names: list[str] = field(default_factory=list)

    @property
    def jobs(self) -> "Sent":
        return self

    @property
    def publisher(self) -> "Sent":
        return self

    def take_turn_to_reap(self, _: float) -> bool:
        return self.has_turn

    def forget_expired(self, _: Any) -> None:
        return

    def quiet(self, *_: Any) -> list[QuietJob]:
        return []

    def delivered_up_to(self, _: str) -> None:
        return

    def now(self) -> None:
        return

    def new_id(self) -> str:
        return "r"

    async def send(self, name: str, message: Any, *, task_id: str) -> None:
        self.names.append(f"{name} {message.job_id} {bool(task_id)}")


@pytest.mark.parametrize(
    ("has_turn", "waiting", "sent"),
    [(True, 0, ["settle_prerequisites_task r True"]), (True, 1, []), (False, 0, [])],
)
def test_who_has_the_turn_has_prerequisites_derived_if_the_importer_is_idle(
    has_turn: bool, waiting: int, sent: list[str]
) -> None:
    """To take the guard out: let `reap` not ask for the depth of the queue, or for the turn."""
    submitter = Sent(has_turn)
    assert asyncio.run(reap(cast("Any", submitter), lambda _: waiting)) == []
    assert submitter.names == sent
