"""An importer for tests: its graph is given, Redis is real, and there is no broker."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from engines import PRIVACY_SECRET

from edugraph_common.contracts.errors import Rejected
from edugraph_common.runtime.messaging.dead_letters import Rewritten
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs
from edugraph_common.runtime.shared_state.live_texts import LiveTextNumbers
from edugraph_common.runtime.shared_state.live_waiting import LiveWaiting
from edugraph_common.runtime.shared_state.object_store import Blobs
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_importer.erasure import Erasure
from edugraph_importer.service import Importer

if TYPE_CHECKING:
    import redis


def no_letters(
    change: Callable[[bytes], bytes],  # noqa: ARG001
    *,
    dry_run: bool,  # noqa: ARG001
    go_on: Callable[[], None],  # noqa: ARG001
) -> Rewritten:
    """Refuse to rewrite dead letters, as an erasure without RabbitMQ does."""
    raise Rejected("only RabbitMQ keeps dead letters")


def importer_on(
    graph: Any,
    client: "redis.Redis",
    blobs: Blobs,
    now: Callable[[], datetime],
    *,
    rewrite_letters: Any = None,
) -> Importer:
    """Return an importer on these stores. It has no broker, so a test replaces `send` and `emit` if they are called.

    The importer seals its audit entries as the services of the tests do, because they may share one Redis.
    """
    nobody = cast("Any", None)
    jobs = Jobs(client)
    members = CourseMembers(client)
    texts = RedisTexts(client)
    erasure = Erasure(graph, jobs, blobs, texts, members, rewrite_letters, now)
    return Importer(
        nobody,
        graph,
        jobs,
        AnalysisWindows(client),
        LiveWaiting(client),
        LiveTextNumbers(client),
        members,
        blobs,
        erasure,
        elsewhere=nobody,
        now=now,
        audit=Audit(client, PRIVACY_SECRET),
    )
