"""Fitting mastery: the first attempts that are read, and that the fit is the model of insights."""

import json
from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_cli.mastery_fit import Answer, answers_of_records, auc, fit, probabilities, rows_of
from edugraph_common.contracts.canonical_names import canonical_name
from edugraph_common.contracts.mastery import Coefficients, read_coefficients
from edugraph_insights.mastery import Attempts, mastery

answer = st.builds(
    Answer,
    student=st.sampled_from(["ann", "ben"]),
    points=st.sets(st.sampled_from(["p", "q", "r"]), min_size=1).map(
        lambda points: tuple(sorted(points))
    ),
    right=st.booleans(),
    moment=st.integers(0, 6),
)
answers = st.lists(answer, min_size=1, max_size=60)
# Below five attempts at a point insights says nothing.
many_answers = st.lists(answer, min_size=25, max_size=60)
COEFFICIENTS = Coefficients(
    mean_beta=0.3,
    betas={"p": -1.0, "q": 0.8},
    gamma=0.7,
    rho=-0.5,
    gamma_over_all=0.4,
    rho_over_all=-0.1,
)


@given(many_answers)
def test_each_answer_is_foretold_as_insights_would_from_what_was_before_its_moment(
    given_answers,
) -> None:
    """Out: the check of the moment in `rows_of`."""
    rows = rows_of(given_answers)
    chances = iter(probabilities(rows, COEFFICIENTS))
    for student in dict.fromkeys(answer.student for answer in given_answers):
        mine = sorted(
            (each for each in given_answers if each.student == student),
            key=lambda each: each.moment,
        )
        for answer in mine:
            before = [each for each in mine if each.moment < answer.moment]
            counts = {
                point: Attempts(
                    sum(each.right for each in before if point in each.points),
                    sum(not each.right for each in before if point in each.points),
                )
                for point in "pqr"
            }
            said = mastery(counts, datetime(2026, 1, 1, tzinfo=UTC), COEFFICIENTS)
            for point in answer.points:
                chance = next(chances)
                if said[point].probability is not None:
                    assert chance == pytest.approx(said[point].probability)
    assert next(chances, None) is None


@settings(max_examples=30, deadline=None)
@given(answers)
def test_whatever_the_answers_right_ones_never_lower_mastery_and_wrong_ones_never_raise_it(
    given_answers,
) -> None:
    found = fit(rows_of(given_answers))
    assert min(found.gamma, found.gamma_over_all) >= 0 >= max(found.rho, found.rho_over_all)
    assert set(found.betas) == {point for answer in given_answers for point in answer.points}


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2).filter(
        lambda s: len({r for r, _ in s}) == 2
    )
)
def test_the_auc_is_that_of_scikit_learn(pairs) -> None:
    right, scores = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    assert auc(right, scores) == pytest.approx(roc_auc_score(right, scores))


@st.composite
def attempts(draw: st.DrawFn) -> list[dict]:
    """Attempts of two students at three items, some of them again with another outcome, and what one item tests.

    Some have no outcome.
    """
    scores = st.sampled_from([0, 0.5, 1, None])
    tries = st.tuples(st.sampled_from("ab"), st.sampled_from("ijk"), st.integers(0, 5), scores)
    values = [
        {
            "type": "attempt_record",
            "timestamp": f"2026-03-01T00:00:0{second}Z",
            "record_id": f"r{draw(st.integers(0, number))}",
            "data": {
                "student_id": student,
                "item_id": item,
                "score": score,
                "response": "x",
                "attempt_number": number + 1,
            },
        }
        for number, (student, item, second, score) in enumerate(draw(st.lists(tries, max_size=20)))
    ]
    item = {"item_id": "i", "knowledge_points": ["Square Roots"]}
    return [
        *values,
        {"type": "item_record", "timestamp": "2026-01-01", "record_id": "item", "data": item},
    ]


@given(attempts())
def test_the_first_attempt_of_the_latest_versions_at_items_of_known_points_counts(values) -> None:
    versions: dict[str, dict] = {}
    for value in values:
        held = versions.get(value["record_id"])
        if held is None or held["timestamp"] <= value["timestamp"]:
            versions[value["record_id"]] = value
    first: dict[str, dict] = {}
    for value in sorted(
        versions.values(), key=lambda each: (each["timestamp"], each["data"].get("attempt_number"))
    ):
        data = value["data"]
        if (
            value["type"] == "attempt_record"
            and data["item_id"] == "i"
            and data["score"] is not None
        ):
            first.setdefault(value["data"]["student_id"], value)
    found = answers_of_records(values)
    assert {(each.student, each.right) for each in found} == {
        (student, value["data"]["score"] >= 0.5) for student, value in first.items()
    }
    assert all(each.points == (canonical_name("Square Roots"),) for each in found)


@pytest.fixture
def table(tmp_path):
    """Two skills and 30 students, of whom each has a share right of their own."""
    path = tmp_path / "answers.csv"
    random = np.random.default_rng(3)
    lines = [
        f"s{student},{skill},{int(random.random() < (student + 5) / 40)}"
        for student in range(30)
        for _ in range(10)
        for skill in ("fractions", "roots")
    ]
    path.write_text("user,skill_name,correct\n" + "\n".join(lines), "utf-8")
    return path


def test_the_command_writes_what_insights_reads_and_prints_how_good_it_is(table, tmp_path) -> None:
    output = tmp_path / "coefficients.json"
    options = ["--student", "user", "--skill", "skill_name", "--output", str(output)]
    done = CliRunner().invoke(app, ["mastery", "fit", str(table), *options, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert set(read_coefficients(output).betas) == {"fractions", "roots"}
    assert told["held_out"]["students"] == 6
    assert told["held_out"]["answers"] == 120
    assert told["held_out"]["auc"] > 0.55
    assert Counter(number for _, _, number in told["held_out"]["bins"]) == {12: 10}
    shown = CliRunner().invoke(app, ["mastery", "fit", str(table), *options])
    assert "AUC" in shown.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("user,skill,correct\na,p,1\n", "has no column student"),
        ("student,skill,correct\na,p,perhaps\n", "line 2: correct is neither 0 nor 1"),
        ("student,skill,correct\na,p,1\n", "at least two students"),
        ("student,skill,correct\na,p,1\nb,p,1\n", "all right or all wrong"),
        ('{"type": "attempt_record"}\n', "row 1: timestamp: is missing"),
        ('{"type":\n', "is not NDJSON"),
    ],
)
def test_answers_of_no_use_get_one_sentence_and_write_nothing(tmp_path, content, sentence) -> None:
    path, output = tmp_path / "answers", tmp_path / "coefficients.json"
    path.write_text(content, "utf-8")
    done = CliRunner().invoke(app, ["mastery", "fit", str(path), "--output", str(output)])
    assert done.exit_code == 2
    assert sentence in " ".join(done.output.split())
    assert not output.exists()


@pytest.mark.parametrize("content", ["", "{", '{"gamma": -1}', '{"gamma": "NaN"}', '{"slope": 1}'])
def test_a_file_that_holds_no_coefficients_is_named_in_one_sentence(tmp_path, content) -> None:
    path = tmp_path / "coefficients.json"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=r"coefficients\.json has no coefficients of mastery"):
        read_coefficients(path)
    with pytest.raises(ValueError, match="no coefficients"):
        read_coefficients(tmp_path / "absent.json")
