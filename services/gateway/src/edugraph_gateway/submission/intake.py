"""What the routes that take work share."""

from dataclasses import dataclass

from anyio import CapacityLimiter

from edugraph_gateway.submission.acceptance import AcceptanceLine
from edugraph_gateway.submission.backpressure import Backpressure
from edugraph_gateway.submission.idempotency import IdempotencyStore
from edugraph_gateway.submission.request_body import BodyLimits
from edugraph_gateway.submission.submit import JobSubmitter
from edugraph_gateway.submission.uploads import UploadSlots


@dataclass(frozen=True)
class Intake:
    """One group, because FastAPI would need longer to solve six dependencies than a small submission takes."""

    backpressure: Backpressure
    acceptance: AcceptanceLine
    idempotency: IdempotencyStore
    submitter: JobSubmitter
    upload_slots: UploadSlots
    limits: BodyLimits
    preview_slots: CapacityLimiter
