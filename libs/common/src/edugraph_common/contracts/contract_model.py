"""The two configurations that all contracts share."""

from pydantic import BaseModel, ConfigDict


class ContractModel(BaseModel):
    """The base class of contracts. A contract is immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MessageModel(ContractModel):
    """The base class of contracts between processes that may have different releases, as during an upgrade.

    An unknown field, which a later release added, is ignored. Such a field must have a default and must be safe to
    ignore. A change that must not be ignored needs a new version.
    """

    model_config = ConfigDict(extra="ignore")
