"""API v1 of gateway and insights as Python calls: `Client`, and `AsyncClient` with the same methods to await."""

from edugraph_client._async.client import AsyncClient
from edugraph_client._sync.client import Client
from edugraph_client.answers import Answer, Details, GraphAnswer, PathAnswer, Question
from edugraph_client.errors import Refused, Unreachable
from edugraph_client.files import FileSource
from edugraph_client.settings import ClientSettings

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "ClientSettings",
    "Details",
    "FileSource",
    "GraphAnswer",
    "PathAnswer",
    "Question",
    "Refused",
    "Unreachable",
]
