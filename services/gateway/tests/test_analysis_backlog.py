"""What the gateway tells of all that is still to be analysed."""

from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.operations.analysis_backlog import LOOK_INTERVAL_SECONDS, AnalysisBacklog


def test_it_counts_once_in_half_a_minute_and_says_nothing_while_redis_is_away() -> None:
    now = [0.0]
    answers: list[int | Retryable] = [7, Retryable("away"), 3]

    def count() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Retryable):
            raise answer
        return answer

    backlog = AnalysisBacklog(count, clock=lambda: now[0])

    def told() -> list[float]:
        return [sample.value for family in backlog.collect() for sample in family.samples]

    assert told() == [7]
    now[0] = LOOK_INTERVAL_SECONDS - 0.1
    assert told() == [7]
    now[0] = LOOK_INTERVAL_SECONDS
    assert told() == []
    now[0] = 2 * LOOK_INTERVAL_SECONDS
    assert told() == [3]
