"""The coefficients of mastery: what `edugraph mastery fit` writes and insights reads, as a JSON file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from edugraph_common.contracts.contract_model import ContractModel

Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class Coefficients(ContractModel):
    """γ ≥ 0 ≥ ρ. A point without a β of its own takes the mean β; `betas` go by the canonical id of the point.

    The defaults are untuned; they say no more than that practice helps and that mistakes count against mastery.
    """

    mean_beta: Coefficient = 0.0
    betas: Mapping[str, Coefficient] = Field(default={})
    gamma: Coefficient = 0.8
    rho: Coefficient = -0.6
    gamma_over_all: Coefficient = 0.2
    rho_over_all: Coefficient = -0.2

    @model_validator(mode="after")
    def agrees_with_what_answers_mean(self) -> Self:
        if min(self.gamma, self.gamma_over_all) < 0 or max(self.rho, self.rho_over_all) > 0:
            raise ValueError("right answers may not lower mastery, and wrong ones may not raise it")
        return self


def read_coefficients(path: Path) -> Coefficients:
    """Raises ValueError with a sentence that names the file."""
    try:
        return Coefficients.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} has no coefficients of mastery: {error.strerror}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "it"
        words = f"{path} has no coefficients of mastery: {place}: {detail['msg']}"
        raise ValueError(f"{words}; write it with edugraph mastery fit") from None
