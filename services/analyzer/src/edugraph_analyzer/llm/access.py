"""A key at an endpoint, and a model that is asked there."""

from dataclasses import dataclass

from edugraph_analyzer.llm.capabilities import EndpointMemory
from edugraph_analyzer.llm.rate_limiter import RateLimiter
from edugraph_analyzer.models_file import Endpoint, Parameters


@dataclass(frozen=True)
class Access:
    """A key and a model. `model` is its name in the settings, and `name` its name at the endpoint.

    `parameters` say how the model is asked. `key` is a name for `secret` that does not reveal it.
    """

    model: str
    parameters: Parameters
    endpoint: Endpoint
    secret: str | None
    name: str
    key: str
    limiter: RateLimiter
    memory: EndpointMemory
