"""The file of EDUGRAPH_MODELS_FILE: the endpoints of models, and their parameters, limits and prices.

The file is TOML and has no secrets: it names the environment variables that have the keys. docs/models.md describes
it, with an entry for each usual provider.
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


class _ModelsFileEntry(BaseModel):
    """Part of the file. A misspelt name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Price(_ModelsFileEntry):
    """The price of a million tokens, in the one currency of the table.

    Without `cached`, input that the provider had in its own cache costs what other input costs. `batch` is the share
    of the price that is paid in a batch.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    batch: float = Field(default=1.0, ge=0, le=1)


class Limits(_ModelsFileEntry):
    """The limits of a provider: requests and tokens in a minute, and requests at the same time."""

    requests_per_minute: PerMinute | None = None
    tokens_per_minute: PerMinute | None = None
    concurrency: PerMinute | None = None


class Parameters(_ModelsFileEntry):
    """The parameters of requests to a model. Missing ones are found by asking, or come from the settings."""

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
        """Return these parameters, replaced by those that `other` gives."""
        names = set(Parameters.model_fields)
        given = self.model_dump(exclude_unset=True, include=names)
        if other is not None:
            given |= other.model_dump(exclude_unset=True, include=names)
        return Parameters(**given)


class Model(Parameters, Limits):
    """A model, by the name that findings have. `names` has its name at endpoints that use another name.

    The tables `interaction`, `error` and `knowledge_points` have the parameters that are different for that kind.
    """

    endpoints: tuple[str, ...] = ()
    names: dict[str, str] = {}
    price: Price | None = None
    interaction: Parameters | None = None
    error: Parameters | None = None
    knowledge_points: Parameters | None = None

    def parameters_for(self, kind: Kind) -> Parameters:
        """Return the parameters for a kind."""
        by_kind = {
            "interaction": self.interaction,
            "error": self.error,
            "knowledge_points": self.knowledge_points,
        }
        return self.overlaid(by_kind[kind])


class Endpoint(Limits):
    """The address and the keys of a provider. The limits apply to each key, all models together."""

    name: str = Field(min_length=1)
    base_url: str | None = None
    keys_from: tuple[str, ...] = ()
    keys: tuple[SecretStr, ...] = Field(default=(), exclude=True)


class ModelsFile(_ModelsFileEntry):
    """The whole file. The endpoints are asked in their order: a later one only while the earlier ones fail."""

    currency: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    models: dict[str, Model] = {}

    @model_validator(mode="after")
    def names_are_known(self) -> "ModelsFile":
        known = [endpoint.name for endpoint in self.endpoints]
        if len(known) != len(set(known)):
            raise ValueError("two endpoints have the same name")
        for name, model in self.models.items():
            unknown = sorted({*model.endpoints, *model.names} - set(known))
            if unknown:
                raise ValueError(
                    f"the model {name!r} names an endpoint that the file has not: {unknown[0]!r}"
                )
        return self

    def endpoints_of(self, model: str) -> tuple[Endpoint, ...]:
        """Return the endpoints that have a model, in the order in which they are asked."""
        if model not in self.models or not self.models[model].endpoints:
            return self.endpoints
        named = self.models[model].endpoints
        return tuple(endpoint for endpoint in self.endpoints if endpoint.name in named)


def read_models_file(path: Path, environment: Mapping[str, str]) -> ModelsFile:
    """Return the file, with the keys that it names. Raises ValueError, which says what to correct."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for endpoint in tables.get("endpoints", ()):
            # Keys are read from the environment only, because the file is not secret.
            endpoint.pop("keys", None)
        read = ModelsFile.model_validate(tables)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ValueError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    endpoints = []
    for endpoint in read.endpoints:
        keys = []
        for name in endpoint.keys_from:
            if not environment.get(name):
                raise ValueError(f"{path} takes a key from {name}, which is not set")
            keys.append(SecretStr(environment[name]))
        endpoints.append(endpoint.model_copy(update={"keys": tuple(keys)}))
    return read.model_copy(update={"endpoints": tuple(endpoints)})
