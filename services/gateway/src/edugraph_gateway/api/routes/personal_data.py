"""GET /v1/personal-data: the inventory of personal data, with the days of retention that are set."""

from fastapi import APIRouter

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.contracts.personal_data import (
    PLACES,
    DataPlace,
    Eraser,
    Exporter,
    Level,
    Store,
)
from edugraph_gateway.api.dependencies import AuditReader, SettingsDep
from edugraph_gateway.problems import problem_responses
from edugraph_gateway.settings import GatewaySettings

router = APIRouter(tags=["audit"])
PREFIX = "EDUGRAPH_"
DAYS = "_retention_days"


class InTwoLanguages(ContractModel):
    en: str
    zh: str


class PlaceOfData(ContractModel):
    """A kind of place that holds data. `retention` is the setting that ends it there, null without one.

    An erasure takes a person out by the `eraser`; `left` says what it leaves there, and why.
    """

    name: str
    store: Store
    patterns: tuple[str, ...]
    level: Level
    holds: InTwoLanguages
    purpose: InTwoLanguages
    kept: InTwoLanguages
    retention: str | None
    eraser: Eraser | None
    exporter: Exporter | None
    left: InTwoLanguages | None


class PersonalData(ContractModel):
    """All places of data. `days` has the settings of a retention that the gateway knows; 0 days are for ever."""

    places: tuple[PlaceOfData, ...]
    days: dict[str, int]
    links: dict[str, str]


@router.get("/v1/personal-data", responses=problem_responses(401, 403, 429, 503))
async def list_personal_data(_: AuditReader, settings: SettingsDep) -> PersonalData:
    """Return each place that holds data, and how many days are set. Nothing in it is about a person."""
    return personal_data(settings)


def personal_data(settings: GatewaySettings) -> PersonalData:
    """Return the inventory, with the days that a gateway with these settings knows."""
    return PersonalData(
        places=tuple(map(_place, PLACES)),
        days=_days_that_are_set(settings),
        links={"self": "/v1/personal-data"},
    )


def _place(place: DataPlace) -> PlaceOfData:
    fields = place._asdict()
    for name in ("holds", "purpose", "kept", "left"):
        words = fields[name]
        if words is not None:
            fields[name] = words._asdict()
    return PlaceOfData.model_validate(fields)


def _days_that_are_set(settings: GatewaySettings) -> dict[str, int]:
    """Return the days of each setting of a retention, by the name of the setting."""
    days: dict[str, int] = {}
    for field in type(settings).model_fields:
        if field.endswith(DAYS):
            days[PREFIX + field.upper()] = getattr(settings, field)
    return days
