"""The tasks of the analyzer. Each parses a message and calls the service. The base class handles failures."""

from typing import Any, cast

from celery import group, shared_task, states

from edugraph_analyzer.drafting.writer import failed
from edugraph_analyzer.service import PACK_TASKS, PERMIT_ENDED, AnalyzerService
from edugraph_common.contracts.messages import (
    Analysis,
    AnalysisBatch,
    AnalysisEstimate,
    AnalysisWindow,
    CheckWorker,
    ChooseQuestion,
    CompareNames,
    Message,
    WriteDraft,
)
from edugraph_common.contracts.routes import CHECK_TASKS
from edugraph_common.runtime.messaging.celery_app import App
from edugraph_common.runtime.messaging.publisher import task_id_for
from edugraph_common.runtime.messaging.task_base import EduGraphTask
from edugraph_common.runtime.messaging.worker.self_check import check_worker


class LLMAnalysisTask(EduGraphTask):
    """A task of the analyzer. `analyzer` is opened by its first use in each process, after the fork."""

    abstract = True

    @property
    def analyzer(self) -> AnalyzerService:
        return cast("AnalyzerService", cast("App", self.app).work())

    def on_given_up(self, message: Message, reason: str) -> None:
        if isinstance(message, Analysis):
            self.analyzer.pack_failed(message, reason)
        elif isinstance(message, AnalysisBatch):
            self.analyzer.batch_failed(message, reason)
        elif isinstance(message, AnalysisWindow):
            self.analyzer.window_failed(message, reason)

    def on_waiting(self, message: Message, reason: str, until: float) -> None:
        self.analyzer.jobs.waits(message.job_id, reason, until, self.analyzer.now())


@shared_task(base=LLMAnalysisTask, bind=True, name="analyze_interaction_task", contract=Analysis)
def analyze_interaction_task(self: LLMAnalysisTask, body: Any) -> dict[str, Any]:
    """Find sentiment and topics of a pack of interactions. Return a PackOutcome."""
    return self.analyzer.analyse(self.parse(Analysis, body)).model_dump(mode="json")


@shared_task(base=LLMAnalysisTask, bind=True, name="analyze_error_task", contract=Analysis)
def analyze_error_task(self: LLMAnalysisTask, body: Any) -> dict[str, Any]:
    """Find error types and knowledge points behind a pack of mistakes. Return a PackOutcome."""
    return self.analyzer.analyse(self.parse(Analysis, body)).model_dump(mode="json")


@shared_task(
    base=LLMAnalysisTask, bind=True, name="extract_knowledge_points_task", contract=Analysis
)
def extract_knowledge_points_task(self: LLMAnalysisTask, body: Any) -> dict[str, Any]:
    """Find knowledge points and prerequisites of a pack of course texts. Return a PackOutcome."""
    return self.analyzer.analyse(self.parse(Analysis, body)).model_dump(mode="json")


@shared_task(
    base=LLMAnalysisTask, bind=True, name="batch_analyze_interactions_task", contract=AnalysisBatch
)
def batch_analyze_interactions_task(self: LLMAnalysisTask, body: Any) -> str:
    """Send all interactions of a batch in packs. Return the id of their group, or "" if no pack is sent here."""
    return _start(self, self.parse(AnalysisBatch, body))


@shared_task(
    base=LLMAnalysisTask, bind=True, name="batch_analyze_errors_task", contract=AnalysisBatch
)
def batch_analyze_errors_task(self: LLMAnalysisTask, body: Any) -> str:
    """Send all mistakes of a batch in packs. Return the id of their group, or "" if no pack is sent here."""
    return _start(self, self.parse(AnalysisBatch, body))


@shared_task(
    base=LLMAnalysisTask, bind=True, name="estimate_analysis_task", contract=AnalysisEstimate
)
def estimate_analysis_task(self: LLMAnalysisTask, body: Any) -> dict[str, Any]:
    """Estimate the cost and the time of an analysis. Return an Estimate."""
    return self.analyzer.estimate(self.parse(AnalysisEstimate, body))


@shared_task(base=LLMAnalysisTask, bind=True, name="compare_names_task", contract=CompareNames)
def compare_names_task(self: LLMAnalysisTask, body: Any) -> dict[str, int]:
    """Send the importer the pairs of points whose names may mean the same. Return their number as `pairs`."""
    return self.analyzer.compare_names(self.parse(CompareNames, body))


class DraftTask(LLMAnalysisTask):
    """The task that writes a draft."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Take the stored draft back if a student of it was erased while it was written.

        An erasure ends the permit before it searches the results. So either the permit has ended here, or the erasure
        finds the result.
        """
        del kwargs
        message = self.parse(WriteDraft, args[-1])
        is_draft = retval.get("state") == "draft"
        if is_draft and not self.analyzer.may_keep(message):
            ended = failed(message, PERMIT_ENDED).model_dump(mode="json")
            self.backend.store_result(task_id, ended, states.SUCCESS, request=self.request)


@shared_task(base=DraftTask, bind=True, name="write_draft_task", contract=WriteDraft)
def write_draft_task(self: DraftTask, body: Any) -> dict[str, Any]:
    """Write a draft of feedback or a summary. Return a Draft, which nobody is sent."""
    return self.analyzer.draft(self.parse(WriteDraft, body)).model_dump(mode="json")


@shared_task(base=LLMAnalysisTask, bind=True, name="choose_question_task", contract=ChooseQuestion)
def choose_question_task(self: LLMAnalysisTask, body: Any) -> dict[str, Any]:
    """Choose a typed question for a text. Return a ChosenQuestion."""
    message = self.parse(ChooseQuestion, body)
    chosen = self.analyzer.choose_question(message)
    return chosen.model_dump(mode="json")


@shared_task(
    base=LLMAnalysisTask, bind=True, name="continue_analysis_task", contract=AnalysisWindow
)
def continue_analysis_task(self: LLMAnalysisTask, body: Any) -> None:
    """Publish packs of a job until its window is full."""
    self.analyzer.publish_packs(self.parse(AnalysisWindow, body))


@shared_task(base=EduGraphTask, bind=True, name=CHECK_TASKS["analyzer"], contract=CheckWorker)
def check_analyzer_task(self: EduGraphTask, body: Any) -> dict[str, Any]:
    """Return the WorkerAnswer of this process."""
    self.parse(CheckWorker, body)
    return check_worker(self.app, str(self.request.hostname)).model_dump(mode="json")


def _start(task: LLMAnalysisTask, message: AnalysisBatch) -> str:
    """Send the packs of a batch whose records are in the message. Return the id of their group, or "" without packs.

    The window of the job sends the packs of any other batch. The ids of the tasks are the same each time, so that a
    replay does not send them twice.
    """
    signatures = []
    for pack in task.analyzer.packs(message):
        task_id = task_id_for(pack.job_id, pack.pack)
        signature = task.app.tasks[PACK_TASKS[pack.kind]].s(pack.model_dump(mode="json"))
        signatures.append(signature.set(task_id=task_id))
    if not signatures:
        return ""
    return str(group(signatures).apply_async().id)
