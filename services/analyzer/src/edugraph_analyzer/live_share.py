"""The share of live texts: the packs of a source take only a part of the model provider's limit of requests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edugraph_common.contracts.errors import BudgetSpent, Rejected
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import Analysis
from edugraph_common.runtime.shared_state.live_texts import LiveTurns

_SECONDS_OF_A_MINUTE = 60.0
_WHOLE_PERCENT = 100
WAITS = "the live texts of its source have used their share of the provider's limit"
TOO_LATE = (
    "the live texts of its source need more than their share of the provider's limit, and the job's deadline would "
    "pass before the turn of this text; import it from a file with --analyze"
)
# A pack may wait for the provider after its turn, too.
_LEFT_AFTER_TURN = timedelta(hours=1)


class NoTurn(Rejected):
    """The turn of a pack would be after the deadline of its job."""


@dataclass(frozen=True)
class LiveShare:
    """Lets the packs of a source wait for their turns.

    `requests_per_minute` returns the provider's limit for a kind, or 0 without a limit. `one_student_per_pack`: see
    AnalyzerSettings.
    """

    turns: LiveTurns
    requests_per_minute: Callable[[Kind], int]
    one_student_per_pack: bool

    def await_turn(self, pack: Analysis, now: datetime) -> None:
        """Raise BudgetSpent until it is the turn of a pack, or NoTurn. Packs without a share have no turn."""
        per_minute = self.requests_per_minute(pack.kind)
        if pack.share_percent is None or not per_minute:
            return
        allowed_per_minute = per_minute * pack.share_percent / _WHOLE_PERCENT
        seconds = self._requests(pack) * _SECONDS_OF_A_MINUTE / allowed_per_minute
        latest = None
        if pack.deadline is not None:
            latest = datetime.fromtimestamp(pack.deadline, UTC) - _LEFT_AFTER_TURN
        wait_seconds = self.turns.wait_seconds(pack, now, seconds, latest)
        if wait_seconds is None:
            raise NoTurn(TOO_LATE)
        if wait_seconds > 0:
            raise BudgetSpent(WAITS, wait_seconds)

    def end(self, pack: Analysis) -> None:
        """Forget the turn of a pack that was analysed or given up."""
        if pack.share_percent is not None:
            self.turns.end(pack)

    def _requests(self, pack: Analysis) -> int:
        """Return the number of requests that a pack needs, if all of its texts are asked for once."""
        if not self.one_student_per_pack:
            return 1
        students = {record.get("data", {}).get("student_id") for record in pack.records}
        return max(1, len(students))
