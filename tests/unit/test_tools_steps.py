"""Steps of a night: each is timed and told, and one that failed is not lost among the others."""

import pytest

from tools import steps


@pytest.fixture
def codes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    known = {"good": 0, "bad": 2, "last": 0}
    monkeypatch.setattr("subprocess.call", lambda command: known[command[2]])
    return known


@pytest.mark.usefixtures("codes")
def test_the_others_run_after_one_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["good", "bad X=1", "last"]) == 1
    table = [
        line.split()
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("good", "bad", "last"))
    ]
    assert [row[:-1] for row in table] == [["good", "ok"], ["bad", "X=1", "failed"], ["last", "ok"]]


@pytest.mark.usefixtures("codes")
def test_with_stop_nothing_runs_after_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["--stop", "bad", "last"]) == 1
    assert "make last" not in capsys.readouterr().out


@pytest.mark.usefixtures("codes")
def test_all_good_is_good() -> None:
    assert steps.main(["good", "last"]) == 0
