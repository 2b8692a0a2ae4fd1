"""The edition of a pack's findings: another one for other answers, the same one for another price."""

from typing import Any

from edugraph_analyzer.pipeline import PackResult
from edugraph_analyzer.service import edition_of
from edugraph_common.contracts.findings import InteractionFinding, Origin, RecordFinding

ORIGIN = Origin(analyser="model", model="m", prompt_version="interaction.1", cost=0.5)


def found(*names: str, **origin: Any) -> PackResult:
    said = InteractionFinding(sentiment="neutral", confidence=0.5)
    made = ORIGIN.model_copy(update=origin)
    return PackResult(
        tuple(
            RecordFinding(record={"record_id": name}, finding=said, origin=made) for name in names
        ),
        (),
    )


def test_other_answers_are_another_edition() -> None:
    editions = {
        edition_of(found("a", "b")),
        edition_of(found("a")),
        edition_of(found("a", "b", prompt_version="interaction.2")),
        edition_of(found("a", "b", model="n")),
        edition_of(found("a", "b", analyser="offline")),
    }
    assert len(editions) == 5


def test_another_price_is_the_same_edition() -> None:
    assert edition_of(found("a", "b")) == edition_of(
        found("a", "b", cost=0.0, cached=True, input_tokens=7)
    )
