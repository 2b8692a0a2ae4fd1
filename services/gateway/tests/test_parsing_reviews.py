"""Reviews are signed by their caller and not dated ahead, before anything is sent."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edugraph_common.contracts.permissions import Scope
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_gateway.api.routes.reviews import parse_reviews

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAIR = {"kind": "pair", "of": "knowledge_point", "pair": ["a half", "fractions"], "verdict": "same"}


def parsed(scopes: tuple[Scope, ...], *reviews: dict[str, Any]) -> Any:
    body = json.dumps({"reviews": [{**PAIR, **each} for each in reviews]}).encode()
    return parse_reviews(body, Caller("k1", scopes), NOW)


def test_a_review_without_a_name_and_a_time_is_the_callers_and_of_now() -> None:
    [review] = parsed(("review",), {})
    assert (review.by, review.at) == ("k1", NOW)


@pytest.mark.parametrize(
    ("scopes", "review", "field"),
    [
        (("review",), {"by": "oidc:head"}, "by"),
        (("review",), {"by": "K1"}, "by"),
        (("review", "operate"), {"by": "oidc:head"}, None),
        (("review", "operate"), {"at": (NOW + timedelta(hours=1)).isoformat()}, "at"),
        (("review",), {"at": "2026-03-02T00:00:00+11:00"}, "at"),
        (("review",), {"at": (NOW - timedelta(days=9)).isoformat()}, None),
    ],
    ids=str,
)
def test_who_may_sign_for_somebody_else_and_nobody_dates_a_review_ahead(
    scopes: tuple[Scope, ...], review: dict[str, str], field: str | None
) -> None:
    """Out: the comparison of `by`, or of `at`, in `parse_reviews`. One wrong review refuses all."""
    if field is None:
        assert len(parsed(scopes, {}, review)) == 2
        return
    with pytest.raises(Problem) as refused:
        parsed(scopes, {}, review)
    assert refused.value.status == 422
    assert [(each["review"], each["field"]) for each in refused.value.more["errors"]] == [
        (1, field)
    ]
