"""One address leads to both services: what each answers is where the front proxy sends it."""

from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.public_paths import GATEWAY_EXACT, INSIGHTS_PATHS, is_of_insights

parts = st.text("abcdefgz/-_.", max_size=12)


@given(st.sampled_from(INSIGHTS_PATHS), parts)
def test_a_path_is_of_insights_by_whole_parts(path: str, more: str) -> None:
    """Out: the `/` after a prefix: /v1/graphs would be of insights."""
    assert is_of_insights(path)
    assert is_of_insights(f"{path}/{more}") == (f"{path}/{more}" not in GATEWAY_EXACT)
    assert is_of_insights(f"{path}{more}") == (not more or more.startswith("/"))


def test_what_changes_the_graph_and_what_is_unknown_is_of_the_gateway() -> None:
    assert not any(
        is_of_insights(path)
        for path in (*GATEWAY_EXACT, "/v1/jobs", "/docs", "/healthz", "/readyz", "/x")
    )
    assert is_of_insights("/")
