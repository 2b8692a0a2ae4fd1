"""`edugraph-digest`: send the weekly digests that are due, and end. A CronJob runs it; a mail is sent once a week."""

import json
import sys

import structlog

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_common.runtime.service.settings import settings_or_exit
from edugraph_insights.digest.mail import MailServer, ServerAway
from edugraph_insights.digest.sending import Run
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import DigestSettings

EXIT_TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h
log = structlog.get_logger()


def main() -> None:
    settings = settings_or_exit(DigestSettings)
    configure_logs(settings.log_format, settings.log_level)
    insights = open_insights(settings)
    if insights.digests is None or insights.mails is None:
        sys.exit("EDUGRAPH_DIGEST_PAGE_URL is missing")
    server = MailServer(settings)
    run = Run(insights, settings, insights.digests, insights.mails, server)
    reason = ""
    try:
        run.send_all()
    except ServerAway as away:
        reason = str(away)
    except Retryable as away:
        reason = away.reason
    finally:
        server.close()
        insights.graph.close()
    print(json.dumps(dict(sorted(run.results.items()))))  # noqa: T201 - the outcome of a command
    log.info("digests_done", **{name.replace(" ", "_"): n for name, n in run.results.items()})
    if reason:
        log.warning("digests_put_off", reason=reason)
        sys.exit(EXIT_TRY_AGAIN)
    if run.results["not read"] or run.results["postponed"]:
        sys.exit(EXIT_TRY_AGAIN)


if __name__ == "__main__":
    main()
