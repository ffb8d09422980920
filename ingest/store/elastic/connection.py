"""The wire to Elasticsearch: requests, their faults in plain words, and reading in pages.

Every fault that passes is waited for, within bounds; every other one becomes StoreGone and says what to do. No secret
stands in an error: addresses are kept without user and password, and what the server says is cut to its reason.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import random
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote, urlsplit

import orjson
from elastic_transport import ConnectionError as NoConnection
from elastic_transport import ConnectionTimeout, TlsError, TransportError
from elasticsearch import ApiError, Elasticsearch, OrjsonSerializer

from ingest.errors import SettingsError, StoreGone

# A hanging server is given so long to answer a request (seconds); a request is then tried again, it may have been done.
REQUEST_TIMEOUT = 60.0
# How often a request is tried: about 4 seconds for a server that does not answer, 30 for one that is busy.
TRIES_GONE = 4
TRIES_BUSY = 8
LONGEST_PAUSE = 10.0

BUSY = (429, 502, 503, 504)
MAKERS = 4  # indices made at once: twice as fast as one by one, measured with six
PAGE = 5000  # documents of a page, and the bytes of one stay below 25 MB for stories of 5 kB
RESULT_WINDOW = 10_000  # Elasticsearch refuses to skip further

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is and who we are there. `hosts` are addresses like https://es1:9200 without user and password."""

    hosts: tuple[str, ...]
    api_key: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""

    @classmethod
    def read(cls, url: str, *, api_key: str = "", user: str = "", password: str = "", ca_file: str = "") -> Server:
        """`url` may name several, with commas between them; user and password may stand in the first.

        Raises SettingsError.
        """
        hosts = []
        for part in filter(None, (piece.strip() for piece in url.split(","))):
            host, name, secret = _address(part)
            hosts.append(host)
            user, password = user or name, password or secret
        if not hosts:
            raise SettingsError("names no address", subject="SITREP_ELASTICSEARCH_URL")
        if ca_file and not Path(ca_file).is_file():
            raise SettingsError("is no file", subject="SITREP_ELASTICSEARCH_CA_FILE")
        if api_key and (user or password):
            user = password = ""  # the key wins: a server takes one of them
        return cls(tuple(hosts), api_key, user, password, ca_file)

    @property
    def exposed(self) -> list[str]:
        """The hosts to which secrets and stories go unencrypted over a network."""
        return [host for host in self.hosts if host.startswith("http:") and not _is_loopback(host)]

    def client(self) -> Elasticsearch:
        options: dict[str, Any] = {}
        if self.api_key:
            options["api_key"] = self.api_key
        elif self.user:
            options["basic_auth"] = (self.user, self.password)
        if self.ca_file and any(host.startswith("https:") for host in self.hosts):
            options["ca_certs"] = self.ca_file
        return Elasticsearch(
            list(self.hosts),
            serializer=OrjsonSerializer(),
            request_timeout=REQUEST_TIMEOUT,
            max_retries=len(self.hosts) - 1,  # another host at once; pauses are ours
            retry_on_status=(),
            retry_on_timeout=False,
            **options,
        )


def _address(part: str) -> tuple[str, str, str]:
    try:
        parts = urlsplit(part)
        port, host = parts.port, parts.hostname
    except ValueError:
        parts, port, host = urlsplit(""), None, None
    if parts.scheme not in ("http", "https") or not host:
        advice = "Write it like https://elasticsearch.example:9200, several with commas between them."
        raise SettingsError("is no address of a server", subject="SITREP_ELASTICSEARCH_URL", advice=advice)
    shown = f"[{host}]" if ":" in host else host
    port = port or (443 if parts.scheme == "https" else 9200)
    return (
        f"{parts.scheme}://{shown}:{port}{parts.path.rstrip('/')}",
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )


@cache
def _warn(host: str) -> None:
    """Once in a process, however often it is connected to."""
    _log.warning("%s: stories and keys go there unencrypted; use https", host)


def _is_loopback(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    body: Any


class Connection:
    """Requests to one cluster, from any thread and any process."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._client: Elasticsearch | None = None
        self._process = os.getpid()
        for host in server.exposed:
            _warn(host)

    @property
    def where(self) -> str:
        return ", ".join(self.server.hosts)

    def close(self) -> None:
        with self._lock:
            if self._client is not None and self._process == os.getpid():
                self._client.close()
            self._client = None

    def _opened(self) -> Elasticsearch:
        with self._lock:
            if self._process != os.getpid():  # forked: the parent's sockets are not ours
                self._client, self._process = None, os.getpid()
            if self._client is None:
                try:
                    self._client = self.server.client()
                except (ValueError, TransportError, OSError) as error:
                    self._not_reached(error)
            return self._client

    def request(self, method: str, path: str, body: Any = None, *, allow: Sequence[int] = (), **params: Any) -> Answer:
        """One request. `allow`: statuses of failure that are an answer to the caller; any other raises StoreGone."""
        for attempt in range(1, TRIES_BUSY + 1):
            try:
                return self._once(method, path, body, params)
            except ApiError as error:
                if error.status_code in allow:
                    return Answer(error.status_code, error.body)
                if not _passes(error) or attempt == TRIES_BUSY:
                    self.refused(error.status_code, error.body)
                pause(attempt, _asked_for(error))
            except TransportError as error:
                if isinstance(error, TlsError) or not isinstance(error, NoConnection | ConnectionTimeout):
                    self._not_reached(error)
                if attempt >= TRIES_GONE:
                    self._not_reached(error)
                pause(attempt)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: Any, params: Mapping[str, Any]) -> Answer:
        headers = {"accept": "application/json"}
        if isinstance(body, bytes | list):
            headers["content-type"] = "application/x-ndjson"
        elif body is not None:
            headers["content-type"] = "application/json"
        query = "&".join(f"{name}={quote(_parameter(value))}" for name, value in params.items())
        target = f"{path}?{query}" if query else path
        answer = self._opened().perform_request(method, target, headers=headers, body=body)
        return Answer(answer.meta.status, answer.body)

    def make_indices(self, wanted: Mapping[str, Any]) -> set[str]:
        """Make these indices (name → body) where they are not there; gives those that were not. Several at once: the
        cluster puts them into one change of its state."""

        def make(name: str) -> bool:
            answer = self.request("PUT", f"/{quote(name)}", wanted[name], allow=(400,))
            if answer.status == 400 and answer.body["error"]["type"] != "resource_already_exists_exception":
                self.refused(400, answer.body, name)
            return answer.status == 200

        with ThreadPoolExecutor(MAKERS) as makers:
            return {name for name, made in zip(wanted, makers.map(make, wanted), strict=True) if made}

    # faults ------------------------------------------------------------------------------------------------------
    def _not_reached(self, error: Exception) -> NoReturn:
        """No answer: StoreGone that says why, without the client's own text, which may hold what was sent."""
        told = str(error).lower()
        if isinstance(error, TlsError) and (
            "wrong_version" in told or "record_layer" in told or "record layer" in told
        ):
            self.gone("it does not speak TLS.", "Is its address http://…?")
        if isinstance(error, TlsError) or "certificate" in told or "ca_certs" in told or isinstance(error, OSError):
            ca = self.server.ca_file
            advice = f"Is {ca} the certificate of its authority?" if ca else "SITREP_ELASTICSEARCH_CA_FILE names one."
            self.gone("its certificate is not trusted.", advice)
        if isinstance(error, ConnectionTimeout):
            self.gone(f"it did not answer within {REQUEST_TIMEOUT:.0f} seconds.", "Is it overloaded or stopped?")
        if isinstance(error, ValueError) and not isinstance(error, TransportError):
            self.gone("its settings cannot be used.", "See SITREP_ELASTICSEARCH_… in .env.example.")
        said = " ".join(map(str, error.args)).lower()  # str() of the client's errors leaves the cause out
        if "failed to resolve" in said:
            advice = "Is the host spelt right in SITREP_ELASTICSEARCH_URL?"
            self.gone("it cannot be reached: its name is not known here.", advice)
        if "connection refused" in said:
            advice = "Is it running, and is its port right in SITREP_ELASTICSEARCH_URL?"
            self.gone("it cannot be reached: nobody answers at that port.", advice)
        advice = "Is it running, and is SITREP_ELASTICSEARCH_URL right (https or http)?"
        self.gone("it cannot be reached.", advice)

    def refused(self, status: int, body: Any, index: str = "") -> NoReturn:
        """StoreGone for an answer that stops the run."""
        kind, why = reason(body)
        again = "Then run the same thing again."
        if status == 401:
            what = "the API key" if self.server.api_key else f"user {self.server.user or '(none)'} or the password"
            self.gone(
                f"{what} is not accepted{_because(body)}.", "Set SITREP_ELASTICSEARCH_API_KEY, or _USER and _PASSWORD."
            )
        if kind == "cluster_block_exception" and _WRITE_BLOCK in why:
            what = f"{index or 'an index'} takes no more writes: it is being migrated or rebuilt, or was moved from."
            self.gone(what, f"`sitrep store check` tells more. {again}")
        if kind == "cluster_block_exception":
            advice = f"Its disk may be full: make room, then lift the block. {again}"
            self.gone(f"{index or 'an index'} is read-only ({why[:200]}).", advice)
        if status == 403:
            self.gone(f"the key lacks a right ({why[:300]}).", "`sitrep store check` lists the rights that are needed.")
        if kind == "index_closed_exception":
            self.gone(f"{index or 'an index'} is closed ({why[:200]}).", f"Open it. {again}")
        if status == 404 or kind == "index_not_found_exception":
            self.gone(f"something of the store is missing ({why[:200]}).", "`sitrep store check` tells more.")
        if status in BUSY:
            self.gone(f"it is too busy ({kind or status}).", again)
        self.gone(f"it refused a request ({status} {kind}: {why[:300]}).", "`sitrep store check` tells more.")

    def gone(self, what: str, advice: str) -> NoReturn:
        raise StoreGone(what, subject=self.where, advice=advice) from None

    # reading -----------------------------------------------------------------------------------------------------
    def search(self, index: str, body: Mapping[str, Any], **more: Any) -> Any:
        """One page. A month that cannot answer is an error, also one that is closed."""
        params: dict[str, Any] = {**more, **({} if "pit" in body else _WHOLE)}
        path = "/_search" if "pit" in body else f"/{quote(index, safe='*,')}/_search"
        return self.request("POST", path, body, allow_partial_search_results="false", **params).body

    def searches(self, index: str, bodies: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The answers to several searches, in one request; what fails in it is asked again alone."""
        if len(bodies) == 1:
            return [self.search(index, bodies[0])]
        header = orjson.dumps({"index": index, "allow_partial_search_results": False, **_WHOLE})
        lines = b"".join(header + b"\n" + orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies)
        answers = self.request("POST", "/_msearch", lines).body["responses"] if bodies else []
        return [
            self.search(index, body) if "error" in answer else answer
            for body, answer in zip(bodies, answers, strict=True)
        ]

    def counts(self, pattern: str) -> dict[str, int]:
        """How many documents each index of a pattern has, as its last refresh left it."""
        names = self.request("GET", f"/{quote(pattern, safe='*,')}/_alias").body
        counted = {"by": {"terms": {"field": "_index", "size": RESULT_WINDOW}}}
        found = self.search(pattern, {"size": 0, "track_total_hits": False, "aggs": counted})
        buckets = found["aggregations"]["by"]["buckets"] if "aggregations" in found else []
        return {**dict.fromkeys(sorted(names), 0), **{bucket["key"]: bucket["doc_count"] for bucket in buckets}}

    def all(self, index: str, query: Mapping[str, Any], source: Any = True) -> Iterator[dict[str, Any]]:
        """Every hit of a query, in no order: in one request where one page holds them."""
        body = {"query": query, "_source": source, "size": PAGE, "sort": ["_doc"], "track_total_hits": PAGE + 1}
        page = self.search(index, body)["hits"]
        if page["total"]["value"] <= PAGE:
            yield from page["hits"]
            return
        yield from self.stream(index, query, ["_shard_doc"], source)

    def stream(
        self,
        index: str,
        query: Mapping[str, Any],
        sort: Sequence[Any],
        source: Any = True,
        size: int = PAGE,
    ) -> Generator[dict[str, Any], None, None]:
        """Every hit in the order of `sort`, as the store is when the first one is taken."""
        opened = self.request("POST", f"/{quote(index, safe='*,')}/_pit", keep_alive="5m", **_WHOLE).body["id"]
        after: dict[str, Any] = {}
        try:
            while True:
                body = {
                    "pit": {"id": opened, "keep_alive": "5m"},
                    "query": query,
                    "_source": source,
                    "size": size,
                    "sort": sort,
                    "track_total_hits": False,
                    **after,
                }
                page = self.search("", body)
                opened, hits = page.get("pit_id", opened), page["hits"]["hits"]
                yield from hits
                if len(hits) < size:
                    return
                after = {"search_after": hits[-1]["sort"]}
        finally:
            self._close_point(opened)

    def _close_point(self, opened: str) -> None:
        """It ends by itself after five minutes; no reason to fail over."""
        with suppress(StoreGone):
            self.request("DELETE", "/_pit", {"id": opened}, allow=(404,))


_WRITE_BLOCK = "FORBIDDEN/8/"  # index.blocks.write, which nobody but a migration sets; a full disk sets another

_WHOLE: dict[str, Any] = {"expand_wildcards": "open,closed", "allow_no_indices": "true", "ignore_unavailable": "false"}


def pause(attempt: int, asked: float = 0.0) -> None:
    """Wait before a request is tried again: longer each time, with jitter, as long as the server asks for."""
    longest = min(LONGEST_PAUSE, 0.25 * 2**attempt)
    time.sleep(max(min(asked, 60.0), random.uniform(longest / 2, longest)))  # noqa: S311 - no secret


def _passes(error: ApiError) -> bool:
    return error.status_code in BUSY and reason(error.body)[0] != "cluster_block_exception"


def _asked_for(error: ApiError) -> float:
    value = str(error.meta.headers.get("retry-after") or "")
    return float(value) if value.isdecimal() else 0.0


def reason(body: Any) -> tuple[str, str]:
    """(type, reason) of what the server says is wrong, of the innermost cause that it names."""
    error = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(error, Mapping):
        return "", str(error or "")
    causes = error.get("root_cause") or [error]
    kind, why = str(causes[0].get("type", error.get("type", ""))), str(causes[0].get("reason", ""))
    inner = error.get("caused_by")
    if isinstance(inner, Mapping) and inner.get("reason"):
        why = f"{why}: {inner['reason']}"
    return kind, " ".join(why.split())


def _because(body: Any) -> str:
    told = orjson.dumps(body).decode() if isinstance(body, Mapping) else ""
    if "expired" in told:
        return ": it has expired"
    return ": it was invalidated" if "invalidated" in told else ""


def _parameter(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()
