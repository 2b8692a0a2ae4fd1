"""Tokens into money, and a rough count of tokens before they are sent."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from edugraph_analyzer.settings import Price

PER = 1_000_000
_WIDE_FROM = 0x2E80  # CJK radicals and all that follows: about a token for each character


def cost_of(model: str, input_tokens: int, output_tokens: int, prices: Mapping[str, Price]) -> float:
    """In the currency of the table; 0 for a model that has no price."""
    price = prices.get(model)
    return 0.0 if price is None else (input_tokens * price.input + output_tokens * price.output) / PER


def estimated_tokens(text: str) -> int:
    """A little over what current tokenizers give: a wide character is one, of others 3.5 are one."""
    wide = sum(1 for char in text if ord(char) >= _WIDE_FROM)
    return wide + -(-(len(text) - wide) * 2 // 7)


def shared_out(total: int, weights: Sequence[int]) -> list[int]:
    """`total` split into whole numbers in proportion to `weights`; the parts add up to it exactly."""
    whole = sum(weights)
    shares = weights if whole else [1] * len(weights)
    whole = whole or len(weights)
    edges = [so_far * total // whole for so_far in accumulate(shares)]
    return [edge - before for before, edge in zip([0, *edges], edges, strict=False)]
