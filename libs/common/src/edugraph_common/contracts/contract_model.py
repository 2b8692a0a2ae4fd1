"""The one configuration that all contracts share."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A contract: immutable, and an unknown field is an error rather than silently lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")
