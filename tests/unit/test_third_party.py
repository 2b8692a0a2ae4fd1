"""The notices name every package that is shipped, with a licence."""

import email.message
import tomllib
from pathlib import Path

import pytest
import third_party


def test_the_notices_are_current() -> None:
    """To take the guard out: remove a row of THIRD-PARTY-NOTICES.md."""
    assert third_party.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| neo4j |", "| neo5j |"),
        ("| tornado |", "| tornade |"),
        ("| uplot | MIT", "| uplot | ISC"),
    ],
)
def test_a_row_that_is_wrong_is_seen(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = third_party.PAGE.read_text("utf-8")
    assert old in text
    monkeypatch.setattr(third_party, "PAGE", tmp_path / "THIRD-PARTY-NOTICES.md")
    third_party.PAGE.write_text(text.replace(old, new), encoding="utf-8")
    assert third_party.main(["--check"]) == 1


def test_direct_dependencies_of_every_service_are_named() -> None:
    """The reference reads what the services declare, and not the lock file."""
    text = third_party.PAGE.read_text("utf-8")
    root = third_party.ROOT
    projects = [root / "libs/common", root / "libs/client", root / "cli", *root.glob("services/*")]
    for file in [project / "pyproject.toml" for project in projects]:
        for wanted in tomllib.loads(file.read_text("utf-8"))["project"]["dependencies"]:
            name = wanted.split(";")[0].split("[")[0].split(">")[0].split("=")[0].split("<")[0]
            name = third_party._canonical(name.strip())
            if not name.startswith("edugraph"):
                assert f"| {name} |" in text, (file, name)


def lock_of(folder: Path, text: str) -> Path:
    file = folder / "uv.lock"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_is_needed_by_way_of_others_and_of_extras_is_found(tmp_path: Path) -> None:
    lock = lock_of(
        tmp_path,
        """
[[package]]
name = "edugraph-a"
version = "1"
dependencies = [{name = "b", extra = ["x"]}, {name = "w", marker = "sys_platform == 'win32'"}]
[package.optional-dependencies]
s3 = [{name = "s"}]
other = [{name = "o"}]
[[package]]
name = "b"
version = "1"
dependencies = [{name = "c"}]
[package.optional-dependencies]
x = [{name = "d"}]
y = [{name = "e"}]
[[package]]
name = "c"
version = "1"
dependencies = [{name = "b"}]
[[package]]
name = "d"
version = "1"
[[package]]
name = "s"
version = "1"
""",
    )
    assert third_party.locked(lock, ["edugraph-a"], ["s3"]) == {"b", "c", "d", "s"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License-Expression": "MIT OR Apache-2.0", "License": "other"}, "MIT OR Apache-2.0"),
        ({"License": "Apache License 2.0"}, "Apache-2.0"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD-3-Clause"),
        ({"License": "Copyright (c) somebody\nall rights reserved"}, None),
        ({"Classifier": "Topic :: Software"}, None),
    ],
)
def test_the_licence_of_a_package(fields: dict[str, str], expected: str | None) -> None:
    metadata = email.message.Message()
    metadata["Name"] = "made-up"
    for name, value in fields.items():
        metadata[name] = value
    if expected:
        assert third_party.licence(metadata) == expected
        return
    with pytest.raises(ValueError, match="made-up names no licence"):
        third_party.licence(metadata)
