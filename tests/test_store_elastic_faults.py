"""Elasticsearch goes wrong in every way that it can; after each, the same run again leaves what a run without faults
leaves: nothing lost, nothing doubled, every entry counted once.

One server of its own, with TLS, a small limit on requests and a short queue; each test publishes the same files.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from builders import content, story
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ingest import dedup
from ingest.errors import StoreGone
from ingest.pipeline import planning
from ingest.pipeline.pipe import Pipe
from ingest.pipeline.publishing import publish
from ingest.settings import Settings
from ingest.store import Lease, Query, Slice, Store
from ingest.store.elastic import bulk, leasing
from ingest.store.elastic import connection as wire
from ingest.store.elastic.layout import SMALL, VERSION
from tests import elastic_server
from tests.elastic_server import PASSWORD, USER, ElasticServer, NoServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STORIES, PARTS = 300, 2
SECRETS = (PASSWORD, PASSWORD.replace(" ", "%20"))
CHUNK = "1mb"  # http.max_content_length


# the server ----------------------------------------------------------------------------------------------------------
def _authority(folder: Path, name: str) -> Path:
    """A certificate authority, and (as http.key and http.crt) a certificate of it for this machine."""
    key, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)

    def builder(of: x509.Name, public: Any) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(of).issuer_name(subject).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        return made.not_valid_after(now + timedelta(days=2))

    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), False)
    usage |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
    ca = builder(subject, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    ca = ca.add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True)
    ca = ca.add_extension(identity, False)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    server = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), leaf.public_key())
    server = server.add_extension(names, False)
    server = server.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
    folder.mkdir(parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "http.key").write_bytes(leaf.private_bytes(pem, *plain))
    (folder / "http.crt").write_bytes(server.sign(key, hashes.SHA256()).public_bytes(pem))
    (folder / "ca.pem").write_bytes(ca.sign(key, hashes.SHA256()).public_bytes(pem))
    return folder / "ca.pem"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticServer]:
    with tempfile.TemporaryDirectory() as name:
        _authority(Path(name, "config"), "Sitrep test")
        ssl = "xpack.security.http.ssl"
        settings = {f"{ssl}.enabled": "true", f"{ssl}.key": "http.key", f"{ssl}.certificate": "http.crt"}
        server = ElasticServer(
            Path(name), {**settings, "http.max_content_length": CHUNK, "thread_pool.write.queue_size": "4"}
        )
        try:
            server.start()
        except NoServer as error:
            elastic_server.without_server(error)
        yield server
        server.stop()


# what is published ---------------------------------------------------------------------------------------------------
WORDS = """
    aid army artillery bakery bank border bread bridge brigade bus capital child clinic column convoy crossing dawn
    depot district dock drone engineer evening family ferry field flour fog fuel garrison governor grain harbour hill
    hospital hour island lake launch lorry market medicine minister morning mortar night officer outpost parcel patrol
    platform port power quarter rail ration region river road roof school shell shelter ship siege silo
"""


def _sentences(rng: random.Random, number: int) -> str:
    return " ".join(f"{' '.join(rng.choices(WORDS.split(), k=12)).capitalize()}." for _ in range(number))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landing zone with files of stories, of which a third tells another again."""
    home = tmp_path_factory.mktemp("faults")
    landing = Pipe(_embedded(home)).landing
    rng = random.Random(7)
    texts: list[str] = []
    start = datetime(2022, 5, 24, tzinfo=UTC)
    for part in range(PARTS):
        told = []
        for number in range(STORIES):
            again = rng.choice(texts[-30:]) if texts and number % 3 == 0 else None
            texts.append(again or _sentences(rng, 20))
            moment = start + timedelta(days=5 * part, minutes=9 * number)
            name = f"{part}-{number:03}"
            told.append(content(name, title=f"Story {name}", text=texts[-1], published=moment.isoformat()))
        prints = dedup.fingerprints([(each.title, each.text) for each in told])
        landing.write_part(f"stories/archive/x/{part:05}", told, prints, {"counts": {}, "reasons": {}, "last": True})
    return home


def _embedded(home: Path) -> Settings:
    return Settings(home=home, landing=str(home / "landing"))


def outcome(store: Store) -> tuple[list[str], dict[str, Any]]:
    """What is left in the end: the stories, and what every entry was counted as."""
    stories = [json.dumps({**told.to_json(), "indexed": None}) for told in store.export(Query())]
    return stories, {path: (booking.counts, booking.complete) for path, booking in store.bookings().items()}


@pytest.fixture(scope="module")
def expected(home: Path) -> tuple[list[str], dict[str, Any]]:
    """Of a run without faults, on the other store."""
    pipe = Pipe(_embedded(home))
    publish(pipe, run="r")
    left = outcome(pipe.store)
    pipe.close()
    assert sum(counts[""]["duplicate"] for counts, _ in left[1].values()) > 100
    return left


_number = iter(range(1000))


@pytest.fixture
def served(node: ElasticServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    """An empty store on the server, published to in slices of 100."""
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 100)
    pipe = Pipe(_settings(node, home, f"fault{next(_number)}-"))
    yield pipe
    pipe.close()


def _settings(node: ElasticServer, home: Path, prefix: str) -> Settings:
    return replace(
        _embedded(home),
        elasticsearch_url=node.url,
        elasticsearch_user=USER,
        elasticsearch_password=PASSWORD,
        elasticsearch_ca_file=str(node.work / "config" / "ca.pem"),
        elasticsearch_prefix=prefix,
    )


def before_bulk(pipe: Pipe, monkeypatch: pytest.MonkeyPatch, number: int, deed: Callable[[], None]) -> None:
    """Do something before the so-manieth request that writes stories."""
    connection = pipe.store._wire  # type: ignore[attr-defined]
    plain, seen = connection.request, 0

    def request(method: str, path: str, *args: Any, **params: Any) -> Any:
        nonlocal seen
        if "_bulk" in path:
            seen += 1
            if seen == number:
                deed()
        return plain(method, path, *args, **params)

    monkeypatch.setattr(connection, "request", request)


# faults --------------------------------------------------------------------------------------------------------------
def test_without_faults(served: Pipe, expected: Any) -> None:
    publish(served, run="r")
    assert outcome(served.store) == expected
    assert all(finding.ok for finding in served.store.check())  # type: ignore[attr-defined]


def test_a_cluster_with_too_few_shards_left_is_told_how_many_are_needed(served: Pipe, node: ElasticServer) -> None:
    lease = served.store.lease("elsewhere:1:x", live=True)
    assert isinstance(lease, Lease)
    told = [story("n", published="2022-05-01"), story("o", published="2012-05-01"), story("p", published="2012-07-01")]
    served.store.write(Slice(stories=told), lease)
    served.store.release(lease)
    needed = 2 + len(SMALL)  # a month and a year of stories, and everything else; without a replica on one node
    with node.client() as client:
        try:
            for limit in (9000, 3):
                client.cluster.put_settings(persistent={"cluster.max_shards_per_node": limit})
                findings = {one.what: one for one in served.store.check()}  # type: ignore[attr-defined]
                (months,) = [what for what in findings if f" of {limit} shards are in use; a month" in what]
                migration = f"a migration or a rebuild takes {needed} shards more for as long as both stand"
                assert [findings[what].ok for what in (months, migration)] == [limit == 9000] * 2
        finally:
            client.cluster.put_settings(persistent={"cluster.max_shards_per_node": None})


@pytest.mark.parametrize("number", [1, 9])
def test_killed_while_it_is_written_to_and_not_there_afterwards(
    served: Pipe, node: ElasticServer, expected: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def soon() -> None:
        threading.Timer(0.02, node.kill).start()  # in the middle of the request

    with monkeypatch.context() as patched:
        patched.setattr(wire, "TRIES_GONE", 2)  # it does not come back meanwhile
        before_bulk(served, patched, number, soon)
        with pytest.raises(StoreGone, match="reached"):
            publish(served, run="r")
        time.sleep(0.1)
        with pytest.raises(StoreGone, match="cannot be reached"):  # not there at the start either
            publish(served, run="r")
    node.start()
    monkeypatch.setattr(leasing, "is_gone", lambda _: True)  # the process of the first, whose lease nobody took back
    publish(served, run="r")
    assert outcome(served.store) == expected


def test_stopped_for_longer_than_two_requests_wait(
    served: Pipe, node: ElasticServer, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs is waited for; what timed out was carried out all the same, when it went on."""
    monkeypatch.setattr(wire, "REQUEST_TIMEOUT", 4.0)

    def stop() -> None:
        node.signal(signal.SIGSTOP)
        threading.Timer(10, node.signal, [signal.SIGCONT]).start()

    before_bulk(served, monkeypatch, 3, stop)
    started = time.monotonic()
    publish(served, run="r")
    assert time.monotonic() - started > 9
    assert outcome(served.store) == expected


def test_a_read_only_month(served: Pipe, node: ElasticServer, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full disk makes it."""
    block = "index.blocks.read_only_allow_delete"
    index = f"{served.settings.elasticsearch_prefix}stories-v{VERSION}-2022.05"
    client = node.client()
    before_bulk(
        served, monkeypatch, 4, lambda: client.indices.put_settings(index=index, settings={block: True}) and None
    )
    with pytest.raises(StoreGone, match="read-only"):
        publish(served, run="r")
    assert any("read-only" in finding.what for finding in served.store.check())  # type: ignore[attr-defined]
    booked = sum(booking.done for booking in served.store.bookings().values())
    client.indices.put_settings(index=index, settings={block: None})
    assert booked <= 200
    publish(served, run="r")
    assert outcome(served.store) == expected
    client.close()


def test_a_full_write_queue(served: Pipe, node: ElasticServer, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others write as fast as they can, into a queue of four, until we have been refused some times."""
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", STORIES)
    stop, refused = threading.Event(), 0
    plain, waited = wire.pause, iter(range(1, 1000))

    def pause(*args: Any) -> None:
        if next(waited) == 4:
            stop.set()
        plain(*args)

    for module in (wire, bulk):
        monkeypatch.setattr(module, "pause", pause)

    def others() -> None:
        nonlocal refused
        with node.client() as client:
            while not stop.is_set():
                lines = [line for n in range(300) for line in ({"index": {}}, {"n": n, "text": "grain " * 30})]
                items = client.options(ignore_status=429).bulk(index="others", operations=lines).body.get("items", [])
                refused += sum(item["index"]["status"] == 429 for item in items)

    threads = [threading.Thread(target=others) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        publish(served, run="r")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refused, "the queue was never full"
    assert outcome(served.store) == expected


def test_a_request_too_large(served: Pipe, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server takes (1 MB here) is less than what is sent at once: it is sent in halves."""
    monkeypatch.setattr(planning, "ARCHIVE_SLICE", 300)
    seen: list[int] = []
    connection = served.store._wire  # type: ignore[attr-defined]
    plain = connection.request

    def request(method: str, path: str, *args: Any, **params: Any) -> Any:
        answer = plain(method, path, *args, **params)
        seen.append(answer.status)
        return answer

    monkeypatch.setattr(connection, "request", request)
    publish(served, run="r")
    assert 413 in seen
    assert outcome(served.store) == expected


def test_an_expired_key(served: Pipe, node: ElasticServer, expected: Any) -> None:
    with node.client() as client:
        key = client.security.create_api_key(name="short", expiration="1s")["encoded"]
    time.sleep(1.5)
    keyed = replace(served.settings, elasticsearch_user="", elasticsearch_password="", elasticsearch_api_key=key)
    late = Pipe(keyed)
    with pytest.raises(StoreGone, match="it has expired") as told:
        publish(late, run="r")
    assert key not in f"{told.value}{keyed}{late.store._wire.server}"  # type: ignore[attr-defined]
    late.close()
    publish(served, run="r")
    assert outcome(served.store) == expected


def test_a_wrong_certificate(served: Pipe, node: ElasticServer, tmp_path: Path) -> None:
    stranger = str(_authority(tmp_path, "Somebody else"))
    for changes, told in (
        ({"elasticsearch_ca_file": stranger}, "not trusted.*authority"),
        ({"elasticsearch_ca_file": ""}, "not trusted.*CA_FILE"),
        ({"elasticsearch_url": node.url.replace("https", "http")}, "cannot be reached.*https or http"),
        ({"elasticsearch_password": "wrong"}, "user sitrep or the password is not accepted"),
    ):
        pipe = Pipe(replace(served.settings, **changes))
        with pytest.raises(StoreGone, match=told):
            pipe.store.feeds()
        (finding,) = [one for one in pipe.store.check() if not one.ok]  # type: ignore[attr-defined]
        assert finding.advice
        pipe.close()


def test_a_missing_alias_and_missing_templates(served: Pipe, node: ElasticServer, expected: Any) -> None:
    prefix = served.settings.elasticsearch_prefix
    publish(served, run="r")
    with node.client() as client:
        client.indices.delete_alias(index=f"{prefix}stories-v{VERSION}-2022.05", name=f"{prefix}stories")
        assert outcome(served.store) == expected  # no month is missing unseen
        client.indices.delete_index_template(name=f"{prefix}stories-v{VERSION}")
        told = [one.what for one in served.store.check() if not one.ok]  # type: ignore[attr-defined]
        assert [what.split()[0] for what in told] == ["templates", "not"]
        fresh = Pipe(served.settings)
        lease = fresh.store.lease("elsewhere:1:x", live=True)
        assert isinstance(lease, Lease)
        with pytest.raises(StoreGone, match="templates"):
            fresh.store.write(Slice(stories=[story("n", published="2023-01-01")]), lease)
        fresh.store.release(lease)
        assert not client.indices.exists(index=f"{prefix}stories-v{VERSION}-2023.01")
        fresh.close()
        served.store.setup()  # type: ignore[attr-defined]
        assert all(finding.ok for finding in served.store.check())  # type: ignore[attr-defined]
        assert client.count(index=f"{prefix}stories")["count"] == STORIES * PARTS


PUBLISHER = """
import sys
from ingest.pipeline import planning, publishing
from ingest.pipeline.pipe import opened
planning.ARCHIVE_SLICE = 50
with opened() as pipe:
    publishing.publish(pipe, run=sys.argv[1])
"""


def test_two_publishers_at_once_and_no_secret_is_told(served: Pipe, home: Path, expected: Any) -> None:
    settings = served.settings
    environ = {
        **os.environ,
        "SITREP_HOME": str(home),
        "SITREP_ELASTICSEARCH_URL": settings.elasticsearch_url,
        "SITREP_ELASTICSEARCH_USER": USER,
        "SITREP_ELASTICSEARCH_PASSWORD": PASSWORD,
        "SITREP_ELASTICSEARCH_CA_FILE": settings.elasticsearch_ca_file,
        "SITREP_ELASTICSEARCH_PREFIX": settings.elasticsearch_prefix,
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen([sys.executable, "-c", PUBLISHER, name], env=environ, **pipes) for name in "ab"]  # type: ignore[call-overload]
    lines = [Path("/proc", str(process.pid), "cmdline").read_bytes().decode() for process in both]
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert outcome(served.store) == expected
    assert not any(secret in text for secret in SECRETS for text in (*told, *lines, repr(settings)))
