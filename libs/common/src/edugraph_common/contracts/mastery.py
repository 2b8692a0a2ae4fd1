"""The coefficients of mastery. `edugraph mastery fit` writes them to a JSON file, and insights reads the file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from edugraph_common.contracts.contract_model import ContractModel

Coefficient = Annotated[float, Field(allow_inf_nan=False)]


class Coefficients(ContractModel):
    """The coefficients, with γ ≥ 0 ≥ ρ. `betas`: canonical id of a knowledge point -> its β.

    A point that is not in `betas` has the mean β. The defaults are not fitted to data: they only assume that practice
    raises mastery and that mistakes lower it.
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
    """Return the coefficients in a file. Raises ValueError with a sentence that names the file."""
    try:
        return Coefficients.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} has no coefficients of mastery: {error.strerror}") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "it"
        words = f"{path} has no coefficients of mastery: {place}: {detail['msg']}"
        raise ValueError(f"{words}; write it with edugraph mastery fit") from None
