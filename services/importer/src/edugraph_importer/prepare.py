"""`python -m edugraph_importer.prepare` brings the graph to the version of this release and creates the constraints.

The command waits until the database has started and until a migration by another process has ended. A second run
changes nothing.
"""

import sys
import time

import structlog

from edugraph_common.contracts.errors import Failure, Retryable, ServerAway
from edugraph_common.runtime.service.logs import configure_logs
from edugraph_importer.graph import Graph, GraphSettings
from edugraph_importer.graph.migrations import MigrationNotAllowed, MigrationRunning

PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 5.0


def main() -> int:
    configure_logs("json", "INFO")
    log = structlog.get_logger("edugraph.prepare")
    graph = Graph(GraphSettings())
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            graph.prepare()
        except MigrationRunning as wait:
            log.info("graph_awaited", reason=wait.reason)
            time.sleep(PAUSE_SECONDS)
        except MigrationNotAllowed as refused:
            # The workers of this release start all the same. Their messages wait until the migration is allowed.
            log.warning("graph_not_migrated", reason=refused.reason)
            return 0
        except (Retryable, ServerAway) as away:
            is_refused = isinstance(away, ServerAway) and away.cause != "away"
            if is_refused or time.monotonic() > end:
                log.error("constraints_failed", reason=away.reason)  # noqa: TRY400
                return 1
            log.info("graph_awaited", reason=away.reason)
            time.sleep(PAUSE_SECONDS)
        except Failure as refused:
            log.error("constraints_failed", reason=refused.reason)  # noqa: TRY400
            return 1
        else:
            log.info("constraints_hold")
            graph.close()
            return 0


if __name__ == "__main__":
    sys.exit(main())
