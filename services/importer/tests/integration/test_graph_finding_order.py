"""Of the findings of several jobs the latest one's counts, in whatever order they come."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from .random_imports import EXAMPLES, batch, deliver, finding_lists, latest_only, pack, record_lists


@EXAMPLES
@given(data=st.data())
def test_the_finding_of_the_latest_job_counts_in_whatever_order_they_come(
    room: Any, data: st.DataObject
) -> None:
    """To take the guard out: let `_finding_updates` heed no key."""
    records = data.draw(record_lists())
    rounds = [latest_only(data.draw(finding_lists(records))) for _ in range(3)]
    jobs = [
        pack(each, f"job{n}", 0).model_copy(update={"asked_at": 1e9 + n // 2})
        for n, each in enumerate(rounds)
    ]
    room.empty()
    for message in [batch(records, "job", 0), *jobs]:
        deliver(room.graph, message)
    expected = room.digest()
    room.empty()
    for message in data.draw(st.permutations([batch(records, "job", 0), *jobs, *jobs])):
        deliver(room.graph, message)
        if data.draw(st.booleans()):  # as if the ledger were compacted
            room.driver.execute_query(
                "MATCH (p:FindingsPack) DELETE p", database_=room.settings.database
            )
    assert room.digest() == expected
