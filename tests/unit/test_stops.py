"""The figure of house.py: a parameter is followed through calls, parts and methods, and each change of file counts."""

from pathlib import Path
from textwrap import dedent

import pytest
import stops

FILES = {
    "entry": """
        from edugraph_x.other import Held, look, measure
        from edugraph_x import telemetry
        from edugraph_x.third import deep

        def whole(batch):
            look(batch)
            measure(batch)

        def part(batch):
            for row in batch.rows:
                deep([row.text])

        def result(batch):
            deep(len(batch))
            deep(look_up(batch))

        def look_up(batch):
            return batch

        def of_its_class(batch: Held):
            batch.keep()
            batch.title

        def counted(batch):
            telemetry.add(batch)

        def in_a_closure(batch):
            def first():
                return look(batch)
            run(first)
    """,
    "other": """
        from edugraph_x.third import deep

        class Held:
            def keep(self):
                deep(self)

            @property
            def title(self):
                return self

        def look(batch):
            deep(batch)

        def measure(batch):
            return len(batch)
    """,
    "third": "def deep(value): ...",
    "telemetry": "def add(value): ...",
}


@pytest.fixture
def small_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, stops.Module]:
    package = tmp_path / "services" / "x" / "src" / "edugraph_x"
    package.mkdir(parents=True)
    for name, text in FILES.items():
        (package / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    found = stops.modules(tmp_path)
    monkeypatch.setattr(stops, "modules", lambda: found)
    return found


@pytest.mark.parametrize(
    ("function", "files"),
    [
        ("whole", "entry other third other entry"),  # both functions of one file are one stay
        ("part", "entry third entry"),
        ("result", "entry"),
        ("of_its_class", "entry other third other entry"),
        ("counted", "entry"),
        ("in_a_closure", "entry other third other entry"),
    ],
)
def test_a_parameter_is_followed_and_what_is_computed_from_it_is_not(
    small_service: dict[str, stops.Module], function: str, files: str
) -> None:
    module = small_service["edugraph_x.entry"]
    walk = stops.follow(stops.Function(module, None, module.functions[function]), "batch")
    assert [path.stem for path in walk.stops] == files.split()


def test_the_longest_walk_comes_first_and_context_is_left_out(small_service: dict[str, stops.Module]) -> None:
    found = stops.walks([small_service["edugraph_x.other"].path])
    assert [(walk.start.title, len(walk.stops)) for walk in found] == [("look", 3), ("measure", 1)]
