"""The prompts, as text files KIND.VERSION.txt.

A changed prompt is a new file with the next version. So each finding names its prompt, and cached answers to the old
prompt are not used for the new one. research/journal/prompts.md lists the prompts that were tried.
"""

from functools import lru_cache
from importlib import resources

from edugraph_common.contracts.findings import Kind

CURRENT: dict[Kind, int] = {"interaction": 6, "error": 11, "knowledge_points": 9}


def version_of(kind: Kind) -> str:
    """Return the file name of the current prompt without its ending, such as "error.1"."""
    return f"{kind}.{CURRENT[kind]}"


@lru_cache
def instructions(version: str) -> str:
    """Return the text of a prompt. Raises FileNotFoundError for a version that does not exist."""
    return resources.files(__package__).joinpath(f"{version}.txt").read_text(encoding="utf-8")
