"""A job's own message, kept beside its file: a later message brings the job back by it if Redis loses the job."""

from edugraph_common.contracts.messages import AnalysisBatch, ImportJob
from edugraph_common.platform.object_store import Blobs, shown


def job_key(job_id: str) -> str:
    return f"jobs/{job_id}/job.json"


def analysis_key(job_id: str) -> str:
    """Return the key of an analysis job's only request."""
    return f"jobs/{job_id}/analysis.json"


def store_job(blobs: Blobs, job: ImportJob) -> None:
    """Keep the message of an import.

    One whose records are inside the message is not kept: records are where they can be erased, and nowhere else. Nor
    is one whose URL holds a secret. Both are brought back by their own messages.
    """
    if job.source is not None and job.source == shown(job.source):
        with blobs.write(job_key(job.job_id)) as file:
            file.write(job.model_dump_json().encode())


def load_job(blobs: Blobs, job_id: str) -> ImportJob | None:
    """Return None for a job that was not stored."""
    if not blobs.exists(job_key(job_id)):
        return None
    with blobs.open(job_key(job_id)) as file:
        return ImportJob.model_validate_json(file.read())


def store_analysis(blobs: Blobs, request: AnalysisBatch) -> None:
    """Keep the request of an analysis job whose records are stored."""
    with blobs.write(analysis_key(request.job_id)) as file:
        file.write(request.model_dump_json().encode())


def load_analysis(blobs: Blobs, job_id: str) -> AnalysisBatch | None:
    """Return None for a job that was not stored, or is an import."""
    if not blobs.exists(analysis_key(job_id)):
        return None
    with blobs.open(analysis_key(job_id)) as file:
        return AnalysisBatch.model_validate_json(file.read())
