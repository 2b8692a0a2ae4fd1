"""The bootstrap key admits its owner without a store; nothing else does."""

from datetime import UTC, datetime

import pytest

from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.runtime.shared_state.bootstrap_key import KeysWithBootstrap
from edugraph_common.runtime.shared_state.callers import KeyRing

TOKEN = "eg_bootstrap_" + "s" * 48
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Store:
    """A Redis that knows no key, and whether one was ever made."""

    def __init__(self, made=False):
        self.made = made

    def hget(self, *_):
        return None

    def exists(self, *_):
        return int(self.made)


def ring(first, made=False):
    return KeyRing(KeysWithBootstrap(Store(made), first))


def test_it_has_all_scopes():
    caller = ring(TOKEN).caller(TOKEN, NOW)
    assert caller is not None
    assert caller.scopes == SCOPES


def test_it_ends_with_the_first_key_that_is_made():
    """Out: `were_made` in KeysWithBootstrap.find."""
    assert ring(TOKEN, made=True).caller(TOKEN, NOW) is None


@pytest.mark.parametrize(
    "token", ["eg_bootstrap_" + "x" * 48, "eg_other_" + "s" * 48, "", "bootstrap"]
)
def test_nothing_else_opens(token):
    assert ring(TOKEN).caller(token, NOW) is None


def test_without_one_there_is_none():
    assert ring(None).caller(TOKEN, NOW) is None


@pytest.mark.parametrize("first", ["eg_bootstrap_short", "password", "eg__" + "s" * 48])
def test_a_key_of_another_form_is_refused_at_the_start(first):
    with pytest.raises(ValueError, match="EDUGRAPH_BOOTSTRAP_KEY"):
        KeysWithBootstrap(Store(), first)
