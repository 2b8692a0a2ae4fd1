"""Mappings and answers of their form may name persons, so requests have them in headers and not in the address."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_common.contracts.data_sources import LONGEST_MAPPING
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.api.private_headers import MAPPING_HEADER, text_in


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=300))
def test_each_text_comes_out_as_it_was_sent(text: str) -> None:
    assert text_in(MAPPING_HEADER, encoded(text)) == text


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_each_header_is_a_text_or_is_refused_without_a_word_of_it(value: str) -> None:
    try:
        expected = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        with pytest.raises(Problem) as refused:
            text_in(MAPPING_HEADER, value)
        assert refused.value.status == 422
        assert str(refused.value) == f"header.{MAPPING_HEADER}: Send the text in base64 of UTF-8"
    else:
        assert text_in(MAPPING_HEADER, value) == expected


def test_a_text_may_be_as_long_as_a_mapping() -> None:
    longest = "学" * LONGEST_MAPPING
    assert text_in(MAPPING_HEADER, encoded(longest)) == longest
    with pytest.raises(Problem) as refused:
        text_in(MAPPING_HEADER, encoded(longest + "学"))
    assert refused.value.status == 422
