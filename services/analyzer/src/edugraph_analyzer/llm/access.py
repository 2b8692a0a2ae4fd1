"""One key at one endpoint, and a model that is asked there."""

from dataclasses import dataclass

from edugraph_analyzer.llm.capabilities import EndpointMemory
from edugraph_analyzer.llm.rate_limiter import RateLimiter
from edugraph_analyzer.models_file import Endpoint, Parameters


@dataclass(frozen=True)
class Access:
    """A key and a model: its name in the settings, its name there, and how it is asked. `key` names the secret."""

    model: str
    parameters: Parameters
    endpoint: Endpoint
    secret: str | None
    name: str
    key: str
    limiter: RateLimiter
    memory: EndpointMemory
