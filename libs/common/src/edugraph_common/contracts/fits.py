"""A fit: what the offline analyser learned of one course from labelled mistakes.

A fit is its rows. The vectors, the neighbours and the classifier are made of them when it is loaded, so that a row
that goes, because its student was erased, takes all that was learned from it along.
"""

import hashlib

from pydantic import Field

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.findings import Share
from edugraph_common.contracts.record_fields import Name

FITS = "fits"  # the folder of all fits in the blob store

Steps = tuple[tuple[float, Share], ...]
"""A rising step function: from a score on, the share that was right on held-out items."""


class LabelledRow(MessageModel):
    """One labelled mistake, without its text.

    `words`: stems and how often they stand in the text, those alone that another row of the fit has too, and none of
    the names of the people of the record. `signs`: what can be told of the text's form.
    """

    record_id: str
    students: tuple[str, ...]
    words: dict[str, int]
    signs: tuple[str, ...] = ()
    knowledge_points: tuple[Name, ...] = ()
    error_types: tuple[Name, ...] = ()


class FitHeader(MessageModel):
    """The first line of a fit; the rows follow.

    `name_weight`: what the likeness of a point's name counts beside the votes of the neighbours. `point_steps` and
    `type_steps` turn scores into confidence; an empty one says that nothing of the kind can be told. `held_out`: how
    the fit did on items that it had not seen, by cross-validation.
    """

    version: str
    course_id: str
    fitted_at: str
    items: int
    name_weight: float = Field(ge=0)
    point_steps: Steps = ()
    type_steps: Steps = ()
    held_out: dict[str, float] = Field(default_factory=dict)


def fit_folder(course_id: str) -> str:
    """Return the folder of a course's fits. An id may hold anything, so its hash names the folder."""
    return f"{FITS}/{hashlib.sha256(course_id.encode()).hexdigest()[:24]}"
