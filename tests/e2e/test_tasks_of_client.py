"""The example of docs/api.md with the calls of Celery, run as a reader runs it, at the real services."""

import re
from contextlib import redirect_stdout
from io import StringIO

import pytest
from engines import CHECKOUT, System


@pytest.mark.real
@pytest.mark.parametrize("engine", ["real"], indirect=True)
def test_the_example_imports_and_analyses(clean: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example has 2,500 different records, and lets one of them be analysed."""
    page = (CHECKOUT / "docs" / "api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (example,) = [block for block in blocks if "edugraph_client.tasks" in block]
    monkeypatch.setenv("EDUGRAPH_URL", clean.url)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(example, "docs/api.md", "exec"), {})
    submitted, imported, analysed = printed.getvalue().splitlines()
    job_id, state, _ = submitted.split()
    assert state in ("PENDING", "STARTED", "SUCCESS")
    success_count, failure_count, errors, duration_seconds = imported.split()
    assert (success_count, failure_count, errors) == ("2500", "0", "()")
    assert float(duration_seconds) > 0
    assert analysed == "1"
    assert clean.client.job(job_id).written == 2_500
