"""The two configurations that all contracts share."""

from pydantic import BaseModel, ConfigDict


class ContractModel(BaseModel):
    """A contract: immutable, and an unknown field is an error rather than silently lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MessageModel(ContractModel):
    """A contract between processes that may be of two releases, as while an upgrade is under way.

    A field that a later release added is ignored: it has a default, so what it says may be left out. A change that
    must not be ignored is a new version.
    """

    model_config = ConfigDict(extra="ignore")
