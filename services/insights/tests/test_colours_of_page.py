"""The colours of the page can be read in both themes, and docs/design-system.md says how well.

The contrast is the ratio of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

import re
from pathlib import Path

import pytest
from engines import CHECKOUT

CSS = CHECKOUT / "services/insights/src/edugraph_insights/web/page.css"
LEAST_OF_TEXT = 4.5
LEAST_OF_EDGES = 3.0
_HEX_OF_A_BYTE = 2


def tokens_of(selector: str) -> dict[str, str]:
    """Return the colours of a theme: token -> #rrggbb."""
    style = CSS.read_text(encoding="utf-8")
    _, _, after = style.partition(f"\n{selector} {{")
    block, _, _ = after.partition("\n}")
    found = {}
    for token, colour in re.findall(r"--([\w-]+): #([0-9a-f]+);", block):
        is_short = len(colour) == 3
        found[token] = "".join(digit * 2 for digit in colour) if is_short else colour
    return found


LIGHT = tokens_of(":root")
DARK = tokens_of(":root[data-theme=dark]")


def luminance(colour: str) -> float:
    parts = []
    for start in range(0, len(colour), _HEX_OF_A_BYTE):
        part = int(colour[start : start + _HEX_OF_A_BYTE], 16) / 255
        is_dark = part <= 0.04045
        parts.append(part / 12.92 if is_dark else ((part + 0.055) / 1.055) ** 2.4)
    red, green, blue = parts
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(tokens: dict[str, str], text: str, ground: str) -> float:
    darker, lighter = sorted((luminance(tokens[text]), luminance(tokens[ground])))
    return (lighter + 0.05) / (darker + 0.05)


def rows_of_the_page(page: Path) -> list[tuple[str, str, float, float]]:
    """Return text, ground, and the contrast in light and dark colours that the page of docs states."""
    pattern = r"^\| `([\w-]+)` on `([\w-]+)` \| ([\d.]+) \| ([\d.]+) \|"
    found = re.findall(pattern, page.read_text(encoding="utf-8"), re.MULTILINE)
    return [(text, ground, float(light), float(dark)) for text, ground, light, dark in found]


ROWS = rows_of_the_page(CHECKOUT / "docs/design-system.md")


@pytest.mark.parametrize(("text", "ground", "light", "dark"), ROWS)
def test_a_text_can_be_read_on_its_ground(
    text: str, ground: str, light: float, dark: float
) -> None:
    least = LEAST_OF_EDGES if text == "edge" else LEAST_OF_TEXT
    for tokens, stated in ((LIGHT, light), (DARK, dark)):
        found = contrast(tokens, text, ground)
        assert found >= least
        assert round(found, 1) == stated


def test_each_colour_of_text_is_in_the_table() -> None:
    """Out: a row of the table. Lines only divide, and the map has a table of its own beside its levels."""
    in_table = {name for text, ground, _, _ in ROWS for name in (text, ground)}
    not_text = {"line", "trail"}
    missing = set(LIGHT) - in_table - not_text
    assert {name for name in missing if not name.startswith("level-")} == set()
    assert set(DARK) == set(LIGHT)
    assert LIGHT["trail"] == LIGHT["mistake"]
    assert DARK["trail"] == DARK["mistake"]
