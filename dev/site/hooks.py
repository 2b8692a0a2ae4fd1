"""Hooks of MkDocs: pages of other folders join the site, and links to files of the repository lead somewhere.

The pages are written for a reader of the repository, so their links are relative to it. A link to a page of the site
stays a link. A link to another file of the repository leads to EDUGRAPH_REPOSITORY_URL, such as
https://host/owner/edugraph/blob/main, if that is set, and is plain text otherwise. A link to nothing is left alone:
MkDocs warns about it, and a warning fails.
"""

import os
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Pages outside of docs/ -> their place in the site.
MORE_PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "THIRD-PARTY-NOTICES.md": "project/third-party.md",
    "deploy/k8s/README.md": "project/chart.md",
    "research/README.md": "project/research.md",
}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)")
# Code is left alone: a fenced block, or a span with as many backticks at its end as at its beginning.
CODE = re.compile(
    r"(^```.*?^```\s*?$|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))", re.MULTILINE | re.DOTALL
)
LIST_ITEM = re.compile(r"(?:[-*]|\d+\.) ")


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    for origin, place in MORE_PAGES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / origin)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    del config
    origin = origin_of(page.file.src_uri)
    # Path in the repository -> place in the site.
    pages = {origin_of(file.src_uri): file.src_uri for file in files}
    repository = os.environ.get("EDUGRAPH_REPOSITORY_URL", "").rstrip("/")
    text = with_links(markdown, origin, page.file.src_uri, pages, repository)
    return with_lists(text)


def origin_of(place: str) -> str:
    """Return the path in the repository of a page or picture of the site."""
    for origin, known in MORE_PAGES.items():
        if known == place:
            return origin
    return f"docs/{place}"


def with_links(
    markdown: str, origin: str, place: str, pages: dict[str, str], repository: str
) -> str:
    """Return a page whose links lead to places of the site."""

    def replaced(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z][a-z+.-]*:|#", target):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        if wanted in pages:
            to = posixpath.relpath(pages[wanted], posixpath.dirname(place) or ".")
            return f"{match['image']}[{match['text']}]({to}{hash_sign}{anchor})"
        if wanted.startswith("..") or not (ROOT / wanted).exists():
            return match[0]
        if repository:
            return f"[{match['text']}]({repository}/{wanted})"
        return match["text"]

    return _outside_code(markdown, lambda text: LINK.sub(replaced, text))


def _outside_code(markdown: str, change: Any) -> str:
    """Change a text, but not its code. A link whose text is a span of code is changed as a whole."""
    kept: list[str] = []

    def hidden(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\x00{len(kept) - 1}\x00"

    changed = change(CODE.sub(hidden, markdown))
    return re.sub("\x00(\\d+)\x00", lambda match: kept[int(match[1])], changed)


def with_lists(markdown: str) -> str:
    """Return a page with an empty line before each list. Markdown for Python needs it; that of Git hosts does not."""
    lines: list[str] = []
    in_code = False
    for line in markdown.split("\n"):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        before = lines[-1] if lines else ""
        begins_list = bool(LIST_ITEM.match(line)) and not in_code
        follows_text = bool(before.strip()) and not before.startswith(" ")
        if begins_list and follows_text and not LIST_ITEM.match(before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
