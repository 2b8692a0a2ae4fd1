import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.costs import cost_of, estimated_tokens, split_in_proportion
from edugraph_analyzer.models_file import Price


def test_cost_is_by_the_million() -> None:
    price = Price(input=0.15, output=0.60)
    assert cost_of(price, 1_000_000, 500_000) == pytest.approx(0.45)
    assert cost_of(price, 1_000_000, 500_000, 400_000) == pytest.approx(0.45)
    assert cost_of(None, 1_000_000, 0) == 0


def test_input_that_the_provider_had_in_its_cache_has_its_own_price() -> None:
    price = Price(input=2, output=8, cached=0.5)
    assert cost_of(price, 1_000_000, 0, 400_000) == pytest.approx(0.6 * 2 + 0.4 * 0.5)


@given(st.integers(0, 10_000), st.lists(st.integers(0, 500), min_size=1, max_size=100))
def test_parts_add_up(total: int, weights: list[int]) -> None:
    parts = split_in_proportion(total, weights)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    assert min(parts) >= 0


def test_a_wide_character_is_a_token() -> None:
    assert estimated_tokens("移项要变号") == 5
    assert estimated_tokens("abcdefg") == 2
    assert estimated_tokens("\u2e80" * 7 + "\u2e7f" * 7 + "\U0010ffff") == 10
