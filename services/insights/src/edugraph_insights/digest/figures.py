"""The figures of digests in /metrics. The command that sends them ends at once, so Redis keeps its numbers."""

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from edugraph_common.contracts.errors import Failure
from edugraph_common.runtime.service import metrics
from edugraph_common.runtime.shared_state.digests import DigestMails


class DigestFigures(Collector):
    """The numbers of mails and of messages to chats by outcome. They are missing while Redis does not answer."""

    def __init__(self, mails: DigestMails | None) -> None:
        self._mails = mails

    def collect(self) -> Iterable[Metric]:
        if self._mails is None:
            return []
        of_mails = metrics.DIGEST_MAILS.family()
        of_chats = metrics.DIGEST_CHATS.family()
        try:
            mails = self._mails.counts()
            chats = self._mails.chat_counts()
        except Failure:
            return []
        for outcome, number in mails.items():
            of_mails.add_metric([outcome], number)
        for messages, number in chats.items():
            of_chats.add_metric([messages.service, messages.outcome], number)
        return [of_mails, of_chats]
