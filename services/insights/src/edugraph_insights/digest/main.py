"""`edugraph-digest`: send the weekly digests that are due, and end. A CronJob runs it; a mail is sent once a week.

After the mails come the messages to channels of chats.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable

import structlog

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.metrics import DigestOutcome
from edugraph_common.runtime.service.settings import settings_or_exit
from edugraph_insights.digest.chat import NotAChannel
from edugraph_insights.digest.chatting import ChatRun, OpenChannel, opened
from edugraph_insights.digest.mail import MailServer, ServerAway
from edugraph_insights.digest.sending import Passed, Run
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import DigestSettings

EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
Results = Counter[DigestOutcome | Passed]
log = structlog.get_logger()


def main() -> None:
    settings = settings_or_exit(DigestSettings)
    configure_logs(settings.log_format, settings.log_level)
    insights = open_insights(settings)
    if insights.digests is None or insights.mails is None:
        sys.exit("EDUGRAPH_DIGEST_PAGE_URL is missing")
    channels = _channels_or_exit(settings)
    server = MailServer(settings)
    run = Run(insights, settings, insights.digests, insights.mails, server)
    chats = ChatRun(insights, insights.mails, channels)
    ways = [chats.send_all]
    if settings.server_url:
        # A mail server that is away keeps no message from a chat.
        ways.insert(0, run.send_all)
    reasons = []
    try:
        for send_all in ways:
            reason = _reason_to_stop(send_all)
            if reason:
                reasons.append(reason)
    finally:
        server.close()
        insights.graph.close()
    print(json.dumps(dict(sorted(run.results.items()))))  # noqa: T201 - the outcome of a command
    _log_results("digests_done", run.results)
    if channels:
        print(json.dumps({"chats": dict(sorted(chats.results.items()))}))  # noqa: T201 - the same
        _log_results("chats_done", chats.results)
    for reason in reasons:
        log.warning("digests_put_off", reason=reason)
    if reasons or _has_more_to_do(run.results) or _has_more_to_do(chats.results):
        sys.exit(EXIT_TRY_AGAIN)


def _channels_or_exit(settings: DigestSettings) -> list[OpenChannel]:
    try:
        return opened(settings.channels)
    except NotAChannel as error:
        sys.exit(f"EDUGRAPH_DIGEST_CHATS: {error}")


def _reason_to_stop(send_all: Callable[[], None]) -> str:
    """Send what is due, and return why the rest waits for the next run, or ""."""
    try:
        send_all()
    except ServerAway as away:
        return str(away)
    except Retryable as away:
        return away.reason
    return ""


def _log_results(event: str, results: Results) -> None:
    log.info(event, **{name.replace(" ", "_"): number for name, number in results.items()})


def _has_more_to_do(results: Results) -> bool:
    return results["not read"] + results["postponed"] > 0


if __name__ == "__main__":
    main()
