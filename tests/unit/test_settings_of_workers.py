"""A worker with a wrong setting ends with one sentence that does not show what was set, and not with a traceback."""

import runpy

import pytest

NEEDED = {
    "EDUGRAPH_BROKER_URL": "amqp://127.0.0.1:1",
    "EDUGRAPH_REDIS_URL": "redis://127.0.0.1:1",
    "EDUGRAPH_BLOB_URL": "blobs",
}
IMPORTER = "edugraph_importer.worker"
ANALYZER = "edugraph_analyzer.worker"


@pytest.mark.parametrize(
    ("worker", "name", "value"),
    [
        *((worker, name, "") for worker in (IMPORTER, ANALYZER) for name in NEEDED),
        *((worker, "EDUGRAPH_JOB_RETENTION_DAYS", "s3cret") for worker in (IMPORTER, ANALYZER)),
        *((worker, "EDUGRAPH_BROKER_USERS", "{s3cret") for worker in (IMPORTER, ANALYZER)),
        (ANALYZER, "EDUGRAPH_PRICES", "{s3cret"),
        (ANALYZER, "EDUGRAPH_CALL_TIMEOUT_SECONDS", "s3cret"),
    ],
)
def test_a_wrong_setting_ends_a_worker_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch, worker: str, name: str, value: str
) -> None:
    """Out: `settings_or_exit` in the worker's module."""
    for needed, good in NEEDED.items():
        monkeypatch.setenv(needed, good)
    monkeypatch.setenv(name, value)
    if not value:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(worker)
    said = str(ended.value)
    assert name.removeprefix("EDUGRAPH_").casefold() in said.casefold()
    assert "s3cret" not in said
    assert "\n" not in said
