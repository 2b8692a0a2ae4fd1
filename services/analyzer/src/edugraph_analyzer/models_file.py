"""The file of EDUGRAPH_MODELS_FILE: where models are asked, with which parameters, limits and prices.

It is TOML, and holds no secret: keys are told by the names of the environment variables that hold them.
docs/models.md describes it, and has an entry for each usual provider.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from edugraph_common.contracts.findings import Kind

Step = Literal["json_schema", "json_object", "prompt"]
LimitName = Literal["max_tokens", "max_completion_tokens"]
Tokens = Annotated[int, Field(ge=0)]
PerMinute = Annotated[int, Field(ge=1)]


class _Told(BaseModel):
    """Part of the file. A misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Price(_Told):
    """The price of a million tokens, in the one currency of the table.

    Without `cached`, input that the provider had in its own cache costs what other input costs. `batch` is the share
    of the price that is paid in a batch.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, ge=0, le=1)


class Limits(_Told):
    """What a provider allows in a minute, and at one time."""

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    concurrency: PerMinute | None = None


class Parameters(_Told):
    """How a model is asked. What is not given is found by asking, or is as the settings say."""

    temperature: Annotated[float, Field(ge=0, le=2)] | Literal["default"] | None = None
    reasoning_effort: str | None = None
    extra_body: dict[str, Any] = {}
    answer_tokens: Annotated[int, Field(ge=16)] | None = None
    thinking_tokens: Tokens | None = None
    limit_parameter: LimitName | None = None
    stream: bool | None = None
    response_format: Step | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None

    def overlaid(self, other: "Parameters | None") -> "Parameters":
        """Return these parameters with what `other` gives in their place."""
        given = other.model_dump(exclude_unset=True, include=set(Parameters.model_fields)) if other else {}
        return Parameters(**self.model_dump(exclude_unset=True, include=set(Parameters.model_fields)) | given)


class Model(Parameters, Limits):
    """A model, by the name that findings carry. `names` has its name at those endpoints that call it otherwise.

    The tables `interaction`, `error` and `knowledge_points` hold what is different for that kind.
    """

    endpoints: tuple[str, ...] = ()
    names: dict[str, str] = {}
    price: Price | None = None
    interaction: Parameters | None = None
    error: Parameters | None = None
    knowledge_points: Parameters | None = None

    def parameters_for(self, kind: Kind) -> Parameters:
        return self.overlaid({"interaction": self.interaction, "error": self.error}.get(kind, self.knowledge_points))


class Endpoint(Limits):
    """A provider's address and its keys. The limits are those of each key, all models together."""

    name: str = Field(min_length=1)
    base_url: str | None = None
    keys_from: tuple[str, ...] = ()
    keys: tuple[SecretStr, ...] = Field(default=(), exclude=True)


class ModelsFile(_Told):
    """The whole file. The endpoints are asked in their order: a later one while an earlier one does not answer."""

    currency: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    models: dict[str, Model] = {}

    @model_validator(mode="after")
    def names_are_known(self) -> "ModelsFile":
        known = [endpoint.name for endpoint in self.endpoints]
        if len(known) != len(set(known)):
            raise ValueError("two endpoints have the same name")
        for name, model in self.models.items():
            if unknown := sorted({*model.endpoints, *model.names} - set(known)):
                raise ValueError(f"the model {name!r} names an endpoint that the file has not: {unknown[0]!r}")
        return self

    def endpoints_of(self, model: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that have a model, in the order in which they are asked."""
        named = self.models[model].endpoints if model in self.models else ()
        return tuple(endpoint for endpoint in self.endpoints if not named or endpoint.name in named)


def read_models_file(path: Path, environment: Mapping[str, str]) -> ModelsFile:
    """Read the file, and the keys that it names. Raises ValueError, which says what to put right."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        for endpoint in told.get("endpoints", ()):
            endpoint.pop("keys", None)  # a key belongs into the environment; the file is no secret
        read = ModelsFile.model_validate(told)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    missing = [name for each in read.endpoints for name in each.keys_from if not environment.get(name)]
    if missing:
        raise ValueError(f"{path} takes a key from {missing[0]}, which is not set")
    endpoints = tuple(
        each.model_copy(update={"keys": tuple(SecretStr(environment[name]) for name in each.keys_from)})
        for each in read.endpoints
    )
    return read.model_copy(update={"endpoints": endpoints})
