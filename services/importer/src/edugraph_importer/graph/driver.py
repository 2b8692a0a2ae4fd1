"""The connection of this process to the database, its transactions and its errors. Only this module uses the driver.

Errors are raised as ServerAway, Retryable or Rejected. They contain the server's code and never its message, because
messages quote values of records.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, LiteralString, ParamSpec, TypeVar, cast

import neo4j
from neo4j.exceptions import (
    AuthConfigurationError,
    AuthError,
    CertificateConfigurationError,
    ClientError,
    ConfigurationError,
    ConstraintError,
    DatabaseUnavailable,
    DriverError,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransactionError,
)
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from edugraph_common.contracts.errors import (
    Failure,
    Rejected,
    Retryable,
    ServerAway,
    cause_of,
    what,
)
from edugraph_common.contracts.graph_schema import LABELS, RECORD_LABEL
from edugraph_common.runtime.shared_state.graph_changes import GraphChange, new_word
from edugraph_importer.graph.changes import ChangingTransaction
from edugraph_importer.graph.statements import CYPHER

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[neo4j.Transaction, P], T]

RETRY_SECONDS = 30.0  # A transaction that failed temporarily is retried for this long.
# The longest wait for a new connection, and for a free one. The driver's own are 30 and 60 s.
_CONNECT_SECONDS, _ACQUIRE_SECONDS = 5.0, 15.0
# If a client vanishes, the server keeps its transaction and its locks for this time. The time is longer than any
# batch takes, including its waits for locks.
TRANSACTION_SECONDS = 60.0
# The pause is short, since the faster transaction has already committed.
_RETRY_PAUSE_SECONDS = 0.01
# The first and the longest pause. Each pause is twice as long as the last.
_TRANSIENT_PAUSES_SECONDS = (0.1, 5.0)
_OLDER_PAUSE_SECONDS = 0.1
# The codes of transactions that the server ended itself after their time, perhaps while they waited for a lock.
_ENDED_BY_SERVER = ("TransactionTimedOut", "LockClientStopped", "Transaction.Terminated")
_INDEX_NAME_TAKEN = "Neo.ClientError.Schema.IndexWithNameAlreadyExists"
# IF NOT EXISTS looks before it locks. So if two processes create the same constraint, one of them gets this error.
_MADE_MEANWHILE = "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
_ENTITY_NOT_FOUND = "Neo.ClientError.Statement.EntityNotFound"
_REFUSED = "Neo.ClientError.Security."
_NO_SUCH_DATABASE = "Neo.ClientError.Database.DatabaseNotFound"
_AWAY = (ServiceUnavailable, SessionExpired, DatabaseUnavailable, OSError)
_UNUSABLE_SETTINGS = (ConfigurationError, AuthConfigurationError, CertificateConfigurationError)


class GraphSettings(BaseSettings):
    """The settings of the graph database: its address and login, the secret of tombstones, the allowed migration.

    They are read from EDUGRAPH_NEO4J_URI, …_USER, …_PASSWORD and …_DATABASE, from EDUGRAPH_PRIVACY_SECRET and from
    EDUGRAPH_MIGRATE_UP_TO.
    """

    model_config = SettingsConfigDict(
        env_prefix="EDUGRAPH_NEO4J_", extra="ignore", frozen=True, validate_by_name=True
    )

    uri: str
    user: str
    password: SecretStr
    database: str = "neo4j"
    privacy_secret: SecretStr = Field(
        min_length=16,
        validation_alias="EDUGRAPH_PRIVACY_SECRET",
        description="keys the hashes of erased students' ids; keep a copy apart from the graph's backups",
    )
    migrate_up_to: int | None = Field(
        default=None,
        validation_alias="EDUGRAPH_MIGRATE_UP_TO",
        description="the latest schema version to which this process may migrate the graph of an earlier release",
    )


class StaleRead(Exception):
    """Another transaction changed data that this one had read before it took its locks. This one starts again."""


class Connection:
    """A connection that opens at its first use in each process. A forked child opens its own connection.

    Threads may share it. `retries` counts the transactions that had to be retried, by the server's code. `new_word`
    returns the word of a transaction. `tell_change` is called with each change that is in the ledger, after the
    commit and before `write` returns.
    """

    def __init__(
        self,
        settings: GraphSettings,
        *,
        transaction_seconds: float = TRANSACTION_SECONDS,
        new_word: Callable[[], str] = new_word,
        tell_change: Callable[[GraphChange], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._new_word = new_word
        self._tell_change = tell_change
        self._transaction_seconds = transaction_seconds
        self._driver: neo4j.Driver | None = None
        self._owner_pid = 0
        self._is_demo_engine = False
        self._opening = threading.Lock()
        # Its `fence` is a Callable[[neo4j.Transaction], None] or None.
        self._own_to_thread = threading.local()
        self.retries: Counter[str] = Counter()

    def write(self, work: Work[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in one transaction, and run it again if another transaction was in the way."""
        fence = getattr(self._own_to_thread, "fence", None)

        def written(tx: neo4j.Transaction) -> tuple[T, GraphChange | None]:
            if self._is_demo_engine:
                tx = _begin_on_demo_engine(tx)
            changing = ChangingTransaction(tx, self._new_word())
            tx = cast("neo4j.Transaction", changing)
            if fence is not None:
                fence(tx)
            result = work(tx, *args, **kwargs)
            changing.leave_note()
            return result, changing.in_ledger

        with self._translated_errors():
            result, change = self._transaction(
                neo4j.WRITE_ACCESS, written, self._transaction_seconds
            )
        if change is not None:
            self._tell_change(change)
        return result

    @contextmanager
    def fenced(self, fence: Callable[[neo4j.Transaction], None]) -> Iterator[None]:
        """Until the block ends, call `fence` at the beginning of each transaction in which this thread writes."""
        self._own_to_thread.fence = fence
        try:
            yield
        finally:
            self._own_to_thread.fence = None

    def read(self, query: LiteralString, **parameters: Any) -> list[neo4j.Record]:
        with self._translated_errors():
            return self._transaction(
                neo4j.READ_ACCESS, lambda tx: list(tx.run(query, parameters)), None
            )

    def _transaction(
        self, access: str, work: Callable[[neo4j.Transaction], T], seconds: float | None
    ) -> T:
        """Run `work` in one transaction, and run it again if it failed for a reason that is over soon.

        The driver's own `execute_write` is not used. After a failure it gives the connection back and then uses the
        connection once more, when another thread may already have it (docs/adr/0079). Here a failed transaction is
        not used again: the session rolls it back when the session is closed. A server that is away is retried for the
        same time whether the driver is open or not.
        """
        end = time.monotonic() + RETRY_SECONDS
        pause_seconds, longest_pause_seconds = _TRANSIENT_PAUSES_SECONDS
        while True:
            try:
                with self._open().session(
                    database=self._settings.database, default_access_mode=access, fetch_size=-1
                ) as session:
                    transaction = session.begin_transaction(timeout=seconds)
                    result = work(transaction)
                    transaction.commit()
                    return result
            except (Neo4jError, DriverError, OSError, StaleRead) as error:
                if isinstance(error, Neo4jError):
                    self.retries[error.code or "unknown"] += 1
                elif isinstance(error, StaleRead):
                    self.retries["Overtaken"] += 1  # the value of the metric's label
                is_lost_race = _is_lost_race(error)
                if not (is_lost_race or _is_over_soon(error)) or time.monotonic() > end:
                    raise
            time.sleep(_RETRY_PAUSE_SECONDS if is_lost_race else pause_seconds)
            pause_seconds = (
                pause_seconds if is_lost_race else min(2 * pause_seconds, longest_pause_seconds)
            )

    def create_constraints(self) -> None:
        """Create the constraints and indexes. A second call changes nothing. Return when the constraints hold.

        Each constraint needs a transaction of its own, before any data is loaded.
        """
        self.make_schema_unique()
        for label in LABELS:
            self._create_constraint(label)
        if not self._is_demo_engine:
            self._create_constraint(RECORD_LABEL)

        indexes = [
            "accepted_index",
            "changed_index",
            "course_index",
            "erased_at_index",
            "owner_index",
            "quoted_index",
            "tombstone_index",
        ]
        indexes += [
            name
            for name in CYPHER
            if name.startswith(("canonical_index_", "latest_index_", "written_index_"))
        ]
        for name in indexes:
            if self._is_demo_engine and not _demo_engine_has_index(name):
                continue
            with self._translated_errors():
                try:
                    self._change_schema(name)
                except ClientError as error:
                    if error.code != _MADE_MEANWHILE:
                        raise

    def make_schema_unique(self) -> None:
        """Create the constraints of the schema version and of locks. A second call changes nothing."""
        self._create_constraint("Lock")
        self._create_constraint("Schema")

    def wait_for_older_transactions(self) -> None:
        """Wait until all transactions have ended that began before this call."""
        if self._is_demo_engine:  # it refuses a transaction if another one took its turn meanwhile
            return
        begun = time.monotonic()
        waited_seconds = 0.0
        # The server itself ends a transaction after this time.
        while waited_seconds < self._transaction_seconds:
            milliseconds = int(waited_seconds * 1_000) + 1
            [row] = self.read(
                CYPHER["older_transactions"],
                database=self._settings.database,
                milliseconds=milliseconds,
            )
            if not row["number"]:
                return
            time.sleep(_OLDER_PAUSE_SECONDS)
            waited_seconds = time.monotonic() - begun

    def _create_constraint(self, label: str) -> None:
        with self._translated_errors():
            try:
                self._change_schema(f"constraint_{label}")
            except ClientError as error:
                if error.code == _MADE_MEANWHILE:
                    return
                if error.code != _INDEX_NAME_TAKEN:
                    raise
                # If the server is killed while it creates a constraint, it keeps the index without the constraint,
                # and would refuse the constraint from then on.
                self._change_schema(f"drop_index_{label}")
                self._change_schema(f"constraint_{label}")

    def _change_schema(self, name: str) -> None:
        self._transaction(neo4j.WRITE_ACCESS, lambda tx: tx.run(CYPHER[name]).consume(), None)

    def close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None and self._owner_pid == os.getpid():
            driver.close()

    def ask(self) -> None:
        """Ask the server once, on a separate connection. Raise ServerAway if it does not answer or refuses us."""
        with (
            self._translated_errors(),
            self._make_driver() as driver,
            driver.session(
                database=self._settings.database, default_access_mode=neo4j.READ_ACCESS
            ) as session,
        ):
            session.run("RETURN 1").consume()

    def _make_driver(self) -> neo4j.Driver:
        return neo4j.GraphDatabase.driver(
            self._settings.uri,
            auth=(self._settings.user, self._settings.password.get_secret_value()),
            notifications_min_severity="OFF",
            telemetry_disabled=True,
            user_agent="edugraph-importer",
            connection_timeout=_CONNECT_SECONDS,
            connection_acquisition_timeout=_ACQUIRE_SECONDS,
        )

    def _open(self) -> neo4j.Driver:
        with self._opening:
            if self._driver is None or self._owner_pid != os.getpid():
                driver = self._make_driver()
                try:
                    self._is_demo_engine = _is_demo_engine(driver)
                except BaseException:
                    driver.close()
                    raise
                self._driver, self._owner_pid = driver, os.getpid()
            return self._driver

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate the driver's errors into ours. The cause is left out, since its message may quote a record."""
        try:
            yield
        except StaleRead:
            raise Retryable("the graph changed under a transaction too often") from None
        except _AWAY as error:
            raise ServerAway(
                f"Neo4j does not answer ({what(error)})", "neo4j", cause_of(error)
            ) from None
        except AuthError:
            raise self._refused(f"Neo4j refuses the user {self._settings.user}") from None
        except ClientError as error:
            raise self._failure_of(error) from None
        except Neo4jError as error:
            raise Retryable(f"the graph database could not do it now ({error.code})") from None
        except _UNUSABLE_SETTINGS as error:
            raise self._refused(f"Neo4j cannot be addressed ({type(error).__name__})") from None
        except TransactionError as error:
            raise Rejected(
                f"the graph database's driver was misused ({type(error).__name__})"
            ) from None
        except DriverError as error:
            raise Retryable(f"the graph database does not answer ({what(error)})") from None

    def _failure_of(self, error: ClientError) -> Failure:
        code = error.code or ""
        ended = any(each in code for each in _ENDED_BY_SERVER)
        if _is_lost_race(error) or error.is_retryable() or ended:
            return Retryable(f"the graph database could not do it now ({code})")
        if code.startswith(_REFUSED):
            return self._refused(
                f"Neo4j refuses the user {self._settings.user} ({code.removeprefix(_REFUSED)})"
            )
        if code == _NO_SUCH_DATABASE:
            return self._refused(f"Neo4j has no database {self._settings.database}")
        return Rejected(f"the graph database refused a statement ({code})")

    def _refused(self, reason: str) -> ServerAway:
        return ServerAway(reason, "neo4j", "refused")


def _is_lost_race(error: Exception) -> bool:
    """Return whether another transaction was faster to create or delete a node that this one wanted to use."""
    return (
        isinstance(error, StaleRead | ConstraintError)
        or getattr(error, "code", None) == _ENTITY_NOT_FOUND
    )


def _is_over_soon(error: Exception) -> bool:
    """Return whether the same transaction may succeed within seconds. A bad certificate will not."""
    if isinstance(error, StaleRead) or cause_of(error) == "certificate":
        return False
    return isinstance(error, OSError) or (
        isinstance(error, Neo4jError | DriverError) and error.is_retryable()
    )


# `make demo` has another graph engine, ArcadeDB. All statements are written for Neo4j. Only the rest of this module
# knows the differences, and no statement, index or property may be chosen for the sake of the demo
# (docs/adr/0097-the-engine-of-the-demo-decides-nothing.md).


def _is_demo_engine(driver: neo4j.Driver) -> bool:
    """Ask the server for its name. Raises the errors of the driver."""
    return "ArcadeDB" in driver.get_server_info().agent


def _demo_engine_has_index(name: str) -> bool:
    """Return whether the engine has the index that the statement of this name creates.

    It has no indexes of texts and of relationships. There all batches are read, and all records of a course.
    """
    return name != "quoted_index" and not name.startswith("latest_index_")


class _DemoTransaction:
    """A transaction on this engine. Its statements are translated before they run."""

    def __init__(self, tx: neo4j.Transaction) -> None:
        self._tx = tx

    def run(self, query: LiteralString, **parameters: Any) -> neo4j.Result:
        # The engine seeks a node with two labels in no index, so a record has only its own label.
        return self._tx.run(query.replace(f":{RECORD_LABEL} {{", " {"), parameters)


def _begin_on_demo_engine(tx: neo4j.Transaction) -> neo4j.Transaction:
    """Return the transaction in the form that the work receives.

    The engine has no locks. It only refuses a transaction that changed the same nodes as another one. Nodes that were
    only read, and added relationships, do not count. So each transaction changes one node that all of them share.
    """
    tx.run(CYPHER["take_turn"]).consume()
    return cast("neo4j.Transaction", _DemoTransaction(tx))
