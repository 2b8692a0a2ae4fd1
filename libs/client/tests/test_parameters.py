"""What a question is asked with, as it stands in an address."""

from datetime import UTC, datetime

import httpx

from edugraph_client import Answer, Client
from edugraph_client.parameters import as_query

ANSWER = {
    "question": "q",
    "computed_by": "c",
    "as_of": "2026-01-01T00:00:00Z",
    "parameters": {},
    "exact": True,
    "of_how_many": {},
    "left_out": {},
    "rows": [{"point": "a", "share": 0.5}, {"point": "b", "share": None}],
}


def test_parameters_are_text_and_none_is_left_out() -> None:
    moment = datetime(2026, 2, 1, 8, tzinfo=UTC)
    given = {
        "from_": "2026-02-01",
        "to": moment,
        "limit": 5,
        "type": ["A", "B"],
        "group": None,
        "all": True,
    }
    assert as_query(given) == {
        "from": "2026-02-01",
        "to": "2026-02-01T08:00:00+00:00",
        "limit": "5",
        "type": ["A", "B"],
        "all": "true",
    }


def test_a_purpose_in_chinese_is_a_header_that_the_audit_log_can_read() -> None:
    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    with Client(
        "http://g", insights_url="http://i/", transport=httpx.MockTransport(answer)
    ) as client:
        client.ask("weak-points", purpose="用", course="C")
    assert str(seen[0].url) == "http://i/v1/insights/weak-points?course=C"
    assert seen[0].headers["x-purpose"] == "%E7%94%A8"


def test_rows_are_a_frame() -> None:
    import pandas as pd

    frame = Answer.model_validate(ANSWER).to_pandas()
    expected = pd.DataFrame({"point": ["a", "b"], "share": [0.5, None]})
    pd.testing.assert_frame_equal(frame, expected)
