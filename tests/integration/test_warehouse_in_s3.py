"""The tables of a warehouse in a bucket of a real S3 server."""

import random
from collections.abc import Iterator

import pytest
from arro3.io import read_parquet
from deltalake import DeltaTable
from s3_server import Bucket, bucket_on, s3_server

from edugraph_cli.warehouse.delta import Delta
from edugraph_common.contracts.errors import Rejected
from tools.s3 import S3

pytestmark = pytest.mark.real
COLUMNS = {"id": "text", "name": "text", "changed": "integer"}
STEPS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_on(server) as own:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        yield own


def table_in(bucket: Bucket) -> Delta:
    return Delta(f"{bucket.url}/students", COLUMNS, ("id",))  # type: ignore[arg-type]


def test_a_table_in_a_bucket_has_the_latest_rows(bucket: Bucket) -> None:
    """Rows come, change and go in random order. After `clean` no object names one that has gone.

    To take the guard out: leave `vacuum` or `cleanup_metadata` out of `clean`.
    """
    chance = random.Random(20261201)
    table = table_in(bucket)
    expected: dict[str, dict[str, object]] = {}
    for step in range(STEPS):
        put = {f"person-{chance.randrange(8)}" for _ in range(3)}
        gone = {f"person-{chance.randrange(8)}" for _ in range(2)} - put
        rows = [{"id": each, "name": f"name of {each}", "changed": step} for each in sorted(put)]
        table.put(rows, [{"id": each} for each in sorted(gone)])
        table.keep_number(step)
        expected |= {str(row["id"]): row for row in rows}
        for each in gone:
            expected.pop(each, None)
    erased = min(expected)
    table.put([], [{"id": erased}])
    del expected[erased]
    table.clean()
    again = table_in(bucket)
    assert again.number() == STEPS - 1
    found = again.rows(list(COLUMNS), {})
    assert sorted(found, key=lambda row: str(row["id"])) == [
        expected[each] for each in sorted(expected)
    ]
    named = {path.rpartition("/")[2] for path in DeltaTable(f"{bucket.url}/students").file_uris()}
    folder = bucket.server.buckets / bucket.name
    for key in bucket.objects():
        content = (folder / key).read_bytes()
        assert erased.encode() not in content
        if key.endswith(".parquet") and "_delta_log" not in key:
            assert key.rpartition("/")[2] in named
            assert erased not in read_parquet(folder / key).read_all()["id"].to_pylist()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_ALLOW_HTTP", "false", "AWS_ENDPOINT_URL has no TLS"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "nobody", "XAdminUserNotFound"),
    ],
)
def test_what_is_wrong_is_one_sentence_without_a_key(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    """To take the guard out: leave `_reason` out."""
    monkeypatch.setenv(name, value)
    with pytest.raises(Rejected, match=reason) as refused:
        table_in(bucket)
    assert bucket.server.secret_key not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.usefixtures("bucket")
def test_a_bucket_that_does_not_exist_is_named() -> None:
    with pytest.raises(Rejected, match=r"s3://no-such-bucket/students .*NoSuchBucket"):
        Delta("s3://no-such-bucket/students", COLUMNS, ("id",))  # type: ignore[arg-type]
