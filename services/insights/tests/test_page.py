"""The page's files: what is vendored, both languages, and the headers with which they are served."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from edugraph_common.contracts.records import DATA_OF_TYPE
from edugraph_common.sources.mapping import ENVELOPE
from edugraph_importer.service import DERIVING
from edugraph_insights.app import make_application
from edugraph_insights.insights import Insights
from edugraph_insights.page import WEB
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import InsightsSettings

LANGUAGES = ("en", "zh")
VENDORED = json.loads((WEB / "vendor" / "versions.json").read_text("utf-8"))
OWN = [path for path in WEB.rglob("*") if path.is_file() and "vendor" not in path.parts]


def words(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((WEB / "words" / f"{language}.json").read_text("utf-8"))
    return found


def test_every_vendored_file_is_that_of_its_package() -> None:
    listed = {path: digest for package in VENDORED for path, digest in package["files"].items()}
    there = {
        path.relative_to(WEB / "vendor").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (WEB / "vendor").rglob("*")
        if path.is_file() and path.name != "versions.json"
    }
    assert there == listed


def test_every_vendored_package_comes_with_the_licence_that_is_named() -> None:
    for package in VENDORED:
        [text] = [
            (WEB / "vendor" / path).read_text("utf-8")
            for path in package["files"]
            if "LICENSE" in path
        ]
        assert package["license"] == "MIT"
        assert "Permission is hereby granted, free of charge" in text


def test_both_languages_have_the_same_sentences_with_the_same_values() -> None:
    english, chinese = words("en"), words("zh")
    assert english.keys() == chinese.keys()
    for key, sentence in english.items():
        values = sorted(re.findall(r"\{\w+\}", sentence))
        if key.endswith(".one") and "{n}" not in values:
            values = sorted([*values, "{n}"])  # "the name" may stand for one name
        assert values == sorted(re.findall(r"\{\w+\}", chinese[key])), key
        assert chinese[key].strip(), key
    same = {key for key in english if english[key] == chinese[key]}
    assert same <= {"students.found"}, "not translated"


def test_the_sentences_how_a_number_is_computed_are_those_of_the_questions() -> None:
    """Whoever changes how a question is computed meets the Chinese sentence beside the English one."""
    told = {
        key.removeprefix("computed."): text
        for key, text in words("en").items()
        if key.startswith("computed.")
    }
    shown = re.compile(r"ask\(\s*(?:student \? )?'/([\w-]+)'(?: : '/([\w-]+)')?")
    asked = {
        name
        for path in OWN
        if path.suffix == ".js"
        for found in shown.findall(path.read_text())
        for name in found
    }
    assert asked - {"", "choices"} == told.keys()
    assert {name: QUESTIONS[name].computed_by for name in told} == told


def test_each_question_has_a_place_on_a_page() -> None:
    """To take the guard out: leave out `ask('/due', …)` in due.js."""
    sources = "\n".join(path.read_text("utf-8") for path in OWN if path.suffix == ".js")
    asked = set(re.findall(r"ask\(\s*'/([\w-]+)'", sources))
    asked |= set(re.findall(r"'/([\w-]+)' : '/[\w-]+'", sources))
    asked |= set(re.findall(r"'/[\w-]+' : '/([\w-]+)'", sources))
    assert QUESTIONS.keys() - asked == set()


def test_what_a_job_waits_for_within_the_house_is_said_in_both_languages() -> None:
    """The page meets the importer's own words. To take the guard out: change them."""
    assert f"waits.{DERIVING}" in words("en")


def test_each_field_that_a_column_can_give_has_words() -> None:
    """The form of a mapping offers them."""
    fields = set(ENVELOPE) - {"type"}
    for data in DATA_OF_TYPE.values():
        fields.update(data.model_fields)
    named = {key.removeprefix("field.") for key in words("en") if key.startswith("field.")}
    assert named == fields


def test_every_sentence_is_used_and_every_used_one_is_there() -> None:
    sources = "\n".join(path.read_text("utf-8") for path in OWN if path.suffix == ".js")
    used = set(re.findall(r"\b(?:t|around)\(\s*'([\w.]+)'", sources))
    # A sentence about a number has a form for one and a form for others.
    for key in re.findall(r"\bplural\('([\w.]+)'", sources):
        used |= {f"{key}.one", f"{key}.other"}
    # A name that is put together: all of its beginning are used.
    begun = set(re.findall(r"\bt\(`(\w+\.)\$", sources)) | {
        f"{kind}." for kind in re.findall(r"told\('(\w+)'", sources)
    }
    either = set(re.findall(r"\? '([\w]+\.[\w]+)' : '[\w.]+'", sources)) | set(
        re.findall(r"\? '[\w.]+' : '([\w]+\.[\w]+)'", sources)
    )
    there = words("en").keys()
    assert used | either <= there
    assert {key for key in there - used - either if not key.startswith(tuple(begun))} == set()


def test_the_types_of_every_module_are_checked() -> None:
    """`make page-check` reads the types of those modules alone that begin with this comment."""
    modules = [path for path in OWN if path.suffix == ".js"]
    assert modules
    for path in modules:
        assert path.read_text("utf-8").startswith("// @ts-check\n"), path.name


def test_no_file_of_the_page_names_another_server() -> None:
    for path in OWN:
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org"}, path.name


@pytest.fixture
def client() -> TestClient:
    none: Any = None
    settings = InsightsSettings(redis_url="redis://127.0.0.1:1", neo4j_uri="bolt://127.0.0.1:1")
    insights = Insights(settings, none, none, None, none, none, none, none, none, none)
    return TestClient(
        make_application(insights), base_url="http://127.0.0.1", follow_redirects=False
    )


@pytest.mark.parametrize(
    "path", ["/", "/ui/", "/ui/main.js", "/ui/words/zh.json", "/ui/vendor/uplot/uPlot.esm.js"]
)
def test_every_file_is_served_so_that_nothing_comes_from_elsewhere(
    client: TestClient, path: str
) -> None:
    """Out: the headers of `page`, or those of the redirect."""
    answer = client.get(path)
    assert answer.status_code == (307 if path == "/" else 200)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_modules_are_served_as_javascript(client: TestClient) -> None:
    for path in ("main.js", "vendor/cytoscape/cytoscape.esm.min.mjs"):
        assert "javascript" in client.get(f"/ui/{path}").headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/ui/none.js", "/ui/../page.py", "/ui/%2e%2e/page.py", "/ui/..%2fpage.py"]
)
def test_nothing_but_the_page_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_files_of_the_page_are_in_the_package() -> None:
    assert Path(WEB).parent.name == "edugraph_insights"
    assert (WEB / "index.html").exists()
