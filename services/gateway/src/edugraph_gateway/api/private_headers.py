"""Texts that may name persons, such as the words that a mapping replaces, in headers of a request.

Proxies write addresses of requests into their logs, with the query, and usually no headers. A header holds ASCII, so
the text is in base64.
"""

import base64
import binascii

from edugraph_common.contracts.data_sources import LONGEST_MAPPING
from edugraph_common.runtime.service.problems import Problem
from edugraph_gateway.problems import invalid_fields

MAPPING_HEADER = "Edugraph-Mapping"
POINTS_HEADER = "Edugraph-Mapping-Points"
ANSWERS_HEADER = "Edugraph-Mapping-Answers"
ENCODED = "in base64 of UTF-8"


def text_in(name: str, value: str | None) -> str | None:
    """Return the text in the header of this name, or None if the request does not have it.

    Raises Problem 422 if the value is not a text in base64, or if the text is longer than a mapping may be.
    """
    if value is None:
        return None
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid_fields([(("header", name), f"Send the text {ENCODED}")]) from None
    if len(text) > LONGEST_MAPPING:
        reason = f"The text should have at most {LONGEST_MAPPING:,} characters"
        raise invalid_fields([(("header", name), reason)])
    return text


def wrong_place(parameter: str, header: str) -> Problem:
    """Return the problem of a request that has such a text as a parameter of its address."""
    reason = (
        f"Send it in the header {header}, {ENCODED}: it may name persons, and proxies log addresses"
    )
    return invalid_fields([(("query", parameter), reason)])
