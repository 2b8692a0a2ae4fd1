"""The names of sources."""

from typing import Annotated

from pydantic import StringConstraints

# The source of imports that name none, if their caller has no source.
DEFAULT_SOURCE = "default"
LONGEST_SOURCE_NAME = 40

SourceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]+$", min_length=1, max_length=LONGEST_SOURCE_NAME)
]
