"""The page of settings is made from the code, and every setting says what it means."""

from settings_page import PAGE, SECTIONS, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: make settings-page"


def test_no_secret_has_a_default() -> None:
    named = [
        (name, field) for model in SECTIONS.values() for name, field in model.model_fields.items()
    ]
    secrets = [
        field
        for name, field in named
        if any(word in name for word in ("password", "key", "broker", "redis"))
    ]
    assert all(not field.default or field.is_required() for field in secrets)
