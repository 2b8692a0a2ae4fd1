"""Domain events as CloudEvents 1.0 in JSON, for programs that listen on the exchange edugraph.events.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from datetime import datetime
from typing import Any, Literal

from edugraph_common.contracts.contract_model import MessageModel

EventType = Literal[
    "io.edugraph.import.completed",
    "io.edugraph.batch.completed",
    "io.edugraph.analysis.completed",
    "io.edugraph.dead_letter",
]


class Event(MessageModel):
    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: EventType
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: dict[str, Any]

    @property
    def routing_key(self) -> str:
        return self.type.removeprefix("io.edugraph.")
