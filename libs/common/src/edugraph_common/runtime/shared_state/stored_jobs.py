"""The message of a job, stored beside its file by the importer and the analyzer, which also read it.

If Redis loses the job, a later message recreates it from there.
"""

from edugraph_common.contracts.messages import AnalysisBatch, ImportJob
from edugraph_common.runtime.shared_state.object_store import Blobs, shown


def job_key(job_id: str) -> str:
    return f"jobs/{job_id}/job.json"


def analysis_key(job_id: str) -> str:
    """Return the key of the single request of an analysis job."""
    return f"jobs/{job_id}/analysis.json"


def store_job(blobs: Blobs, job: ImportJob) -> None:
    """Store the message of an import.

    A message that holds records is not stored, because records may be only in places where they can be erased. A
    message whose URL holds a secret is not stored either. Both jobs are recreated from their own messages.
    """
    if job.source is not None and job.source == shown(job.source):
        with blobs.write(job_key(job.job_id)) as file:
            file.write(job.model_dump_json().encode())


def load_job(blobs: Blobs, job_id: str) -> ImportJob | None:
    """Return the stored message of an import, or None if there is none."""
    if not blobs.exists(job_key(job_id)):
        return None
    with blobs.open(job_key(job_id)) as file:
        return ImportJob.model_validate_json(file.read())


def store_analysis(blobs: Blobs, request: AnalysisBatch) -> None:
    """Store the request of an analysis job whose records are in a blob."""
    with blobs.write(analysis_key(request.job_id)) as file:
        file.write(request.model_dump_json().encode())


def load_analysis(blobs: Blobs, job_id: str) -> AnalysisBatch | None:
    """Return the stored request of an analysis job, or None if there is none."""
    if not blobs.exists(analysis_key(job_id)):
        return None
    with blobs.open(analysis_key(job_id)) as file:
        return AnalysisBatch.model_validate_json(file.read())
