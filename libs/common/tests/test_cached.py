"""A value that is looked up now and then, by one thread at a time."""

import time

import pytest
from threads import at_once

from edugraph_common.runtime.service.cached import cached_for


def test_a_look_is_made_seldom() -> None:
    now, answers = [0.0], [7, 3]
    depth = cached_for(1.0, lambda: answers.pop(0), clock=lambda: now[0])
    assert [depth(), depth()] == [7, 7]
    now[0] = 1.0
    assert [depth(), depth()] == [3, 3]


def test_of_many_threads_one_looks() -> None:
    """To take the guard out: let `value` hold no lock."""
    looks: list[int] = []

    def look() -> int:
        looks.append(1)
        time.sleep(0.05)  # long enough for the others to come
        return 7

    value = cached_for(60.0, look)
    assert at_once([value] * 8) == [7] * 8
    assert len(looks) == 1


def test_what_goes_wrong_is_raised_and_not_kept() -> None:
    answers: list[object] = [OSError("away"), 7]

    def look() -> object:
        if isinstance(answer := answers.pop(0), OSError):
            raise answer
        return answer

    value = cached_for(60.0, look)
    with pytest.raises(OSError, match="away"):
        value()
    assert value() == 7
