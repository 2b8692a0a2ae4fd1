"""A page of one form or one sentence, for addresses that open without the page at /ui/."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>EduGraph</title>
<link rel="stylesheet" href="/ui/page.css">
<main>
<h1>{heading}</h1>
{content}
</main>
"""


def plain_page(heading: str, content: str) -> str:
    """Return the page. Both are HTML, so the caller has escaped what others wrote."""
    return _PAGE.format(heading=heading, content=content)


def in_both(english: str, chinese: str) -> str:
    """Return words in both languages as HTML, for a page whose reader's language is not known."""
    return f'{english} <span lang="zh-CN">{chinese}</span>'
