"""The one place that knows the driver: a connection of this process, its transactions, its errors.

Every error leaves as Retryable or Rejected, with the server's code and never its message: messages quote values.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, LiteralString, ParamSpec, TypeVar

import neo4j
from neo4j.exceptions import (
    AuthConfigurationError,
    AuthError,
    CertificateConfigurationError,
    ClientError,
    ConfigurationError,
    ConstraintError,
    DriverError,
    Neo4jError,
    TransactionError,
)

from edugraph_common.contracts.errors import Rejected, Retryable, what
from edugraph_importer.graph.queries import CYPHER
from edugraph_importer.graph.settings import GraphSettings

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[neo4j.ManagedTransaction, P], T]

RETRY_SECONDS = 30.0  # for which a transaction that failed in passing is repeated
# A client that vanished without a word leaves its transaction, and its locks, to the server until this is over.
# Longer than any batch takes, waits for its locks included.
TRANSACTION_SECONDS = 60.0
_PAUSE = 0.01  # seconds; whoever was faster has committed already
# What the server calls a transaction that it ended itself: its time was over, perhaps in the wait for a lock.
_ENDED = ("TransactionTimedOut", "LockClientStopped", "Transaction.Terminated")
_GONE = "Neo.ClientError.Statement.EntityNotFound"
_REFUSED = (ConfigurationError, AuthConfigurationError, CertificateConfigurationError)


class Overtaken(Exception):
    """Another transaction changed what this one had read before its locks; it starts again."""


class Connection:
    """Opened at first use, once in each process: a forked child opens its own. Safe to share between threads."""

    def __init__(self, settings: GraphSettings, *, transaction_seconds: float = TRANSACTION_SECONDS) -> None:
        self._settings = settings
        self._limited = neo4j.unit_of_work(timeout=transaction_seconds)
        self._driver: neo4j.Driver | None = None
        self._owner = 0
        self._locks = True
        self._opening = threading.Lock()
        self.repeats: Counter[str] = Counter()
        """How often a transaction had to be repeated, by the server's code."""

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work` in one transaction, again if another one got in its way."""
        with _translated(), self._session() as session:
            counted, end = self._limited(self._counted(self._in_turn(work))), time.monotonic() + RETRY_SECONDS
            while True:
                try:
                    return session.execute_write(counted, *args, **kwargs)
                except (ClientError, Overtaken) as error:
                    if not _overtaken(error) or time.monotonic() > end:
                        raise
                time.sleep(_PAUSE)

    def define(self, statement: LiteralString) -> None:
        """Runs a statement of the schema, which wants a transaction of its own."""
        with _translated(), self._session() as session:
            session.execute_write(lambda tx: tx.run(statement).consume())

    def read(self, query: LiteralString, **parameters: Any) -> list[neo4j.Record]:
        with _translated(), self._session() as session:
            return session.execute_read(lambda tx: list(tx.run(query, parameters)))

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None and self._owner == os.getpid():
            driver.close()

    def _session(self) -> neo4j.Session:
        with self._opening:
            if self._driver is None or self._owner != os.getpid():
                self._driver, self._owner = _open(self._settings), os.getpid()
                self._locks = "ArcadeDB" not in self._driver.get_server_info().agent
            return self._driver.session(database=self._settings.database, fetch_size=-1)

    def _in_turn(self, work: Work[P, T]) -> Work[P, T]:
        """The embedded engine has no locks: it only refuses a transaction that changed what another one changed.

        What a transaction only reads, and relationships that it adds, are not among that. So each changes one node.
        """
        if self._locks:
            return work

        def in_turn(tx: neo4j.ManagedTransaction, /, *args: P.args, **kwargs: P.kwargs) -> T:
            tx.run(CYPHER["take_turn"]).consume()
            return work(tx, *args, **kwargs)

        return in_turn

    def _counted(self, work: Work[P, T]) -> Work[P, T]:
        def counted(tx: neo4j.ManagedTransaction, /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return work(tx, *args, **kwargs)
            except Neo4jError as error:
                self.repeats[error.code or "unknown"] += 1
                raise
            except Overtaken:
                self.repeats["Overtaken"] += 1
                raise

        return counted


def _open(settings: GraphSettings) -> neo4j.Driver:
    return neo4j.GraphDatabase.driver(
        settings.uri,
        auth=(settings.user, settings.password.get_secret_value()),
        notifications_min_severity="OFF",
        telemetry_disabled=True,
        max_transaction_retry_time=RETRY_SECONDS,
        initial_retry_delay=0.1,  # the default of a second is long beside a batch
        user_agent="edugraph-importer",
    )


def _overtaken(error: ClientError | Overtaken) -> bool:
    """Another transaction made or deleted first what this one wanted to make or use."""
    return isinstance(error, Overtaken | ConstraintError) or error.code == _GONE


@contextmanager
def _translated() -> Iterator[None]:
    """The cause is left out on purpose: its message may quote a record."""
    try:
        yield
    except Overtaken:
        raise Retryable("the graph changed under a transaction too often") from None
    except AuthError:
        raise Rejected("the graph database refuses the user or the password") from None
    except ClientError as error:
        raise _of_client_error(error) from None
    except Neo4jError as error:
        raise Retryable(f"the graph database could not do it now ({error.code})") from None
    except _REFUSED as error:
        raise Rejected(f"the graph database cannot be addressed ({type(error).__name__})") from None
    except TransactionError as error:
        raise Rejected(f"the graph database's driver was misused ({type(error).__name__})") from None
    except (DriverError, OSError) as error:
        raise Retryable(f"the graph database does not answer ({what(error)})") from None


def _of_client_error(error: ClientError) -> Retryable | Rejected:
    ended = any(end in (error.code or "") for end in _ENDED)
    if _overtaken(error) or error.is_retryable() or ended:
        return Retryable(f"the graph database could not do it now ({error.code})")
    return Rejected(f"the graph database refused a statement ({error.code})")
