"""The share of live texts: the packs of a source take only a part of the model provider's limit of requests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from edugraph_common.contracts.errors import ProviderBusy
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import Analysis
from edugraph_common.runtime.shared_state.live_texts import LiveTurns

_SECONDS_OF_A_MINUTE = 60.0
_WHOLE_PERCENT = 100
WAITS = "the live texts of its source have used their share of the provider's limit"


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
        """Raise ProviderBusy until it is the turn of a pack. Packs without a share have no turn."""
        per_minute = self.requests_per_minute(pack.kind)
        if pack.share_percent is None or not per_minute:
            return
        allowed_per_minute = per_minute * pack.share_percent / _WHOLE_PERCENT
        seconds = self._requests(pack) * _SECONDS_OF_A_MINUTE / allowed_per_minute
        wait_seconds = self.turns.wait_seconds(pack, now, seconds)
        if wait_seconds > 0:
            raise ProviderBusy(WAITS, wait_seconds)

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
