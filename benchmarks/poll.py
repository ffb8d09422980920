"""How much CPU an unchanged feed costs: 2,000 feeds on loopback that all answer 304, in the same run.

    python benchmarks/poll.py [FEEDS]

The peer is the plainest loop there is: requests with one session and the feed's ETag, feedparser for what is new (here
nothing is). Ours is a whole poll: guarded, concurrent fetching, every answer landed in a WARC, states learned and
stored. Both are warm: their first poll, which gets the feeds, is not counted. The server is another process.
"""

from __future__ import annotations

import ipaddress
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import feedparser
import requests

from ingest import settings as configuration
from ingest.models import Feed, FullText
from ingest.pipeline import fetching, runs
from ingest.pipeline.pipe import Pipe

FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>Northwire</title><link>http://127.0.0.1/</link>
<item><title>Flour for the district</title><link>http://127.0.0.1/1</link><description>A ship.</description></item>
</channel></rss>"""
SERVER = f"""
import socketserver
FEED = {FEED!r}
class Answer(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    def handle(self):
        while (line := self.rfile.readline()).strip():
            path, known = line.split()[1], False
            while (header := self.rfile.readline()).strip():
                known = known or header.lower().startswith(b"if-none-match")
            if path == b"/robots.txt":
                answer = b"HTTP/1.1 404 No\\r\\nContent-Length: 0\\r\\n\\r\\n"
            elif known:
                answer = b'HTTP/1.1 304 Same\\r\\nETag: "1"\\r\\n\\r\\n'
            else:
                head = b'HTTP/1.1 200 OK\\r\\nETag: "1"\\r\\nContent-Type: application/rss+xml\\r\\n'
                answer = head + b"Content-Length: %d\\r\\n\\r\\n" % len(FEED) + FEED
            self.wfile.write(answer)
class Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address, request_queue_size = True, True, 512
server = Server(("127.0.0.1", 0), Answer)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline())
        feeds = [Feed(f"http://127.0.0.1:{port}/{n}", full_text=FullText.NEVER, delay=0.0) for n in range(count)]
        with tempfile.TemporaryDirectory() as home:
            ours, wall = _ours(Path(home), feeds)
        peer, slow = _peer([feed.url for feed in feeds])
    finally:
        server.kill()
    print(f"sitrep               {1000 * ours / count:6.2f} ms of CPU a feed, {wall:.1f} s for {count}")
    print(f"requests+feedparser  {1000 * peer / count:6.2f} ms of CPU a feed, {slow:.1f} s for {count}")
    print(f"ratio                {peer / ours:6.2f} (peer / sitrep; above 1: sitrep takes less)")


def _ours(home: Path, feeds: list[Feed]) -> tuple[float, float]:
    loaded = configuration.load({"SITREP_HOME": str(home)})
    pipe = Pipe(replace(loaded, allow_addresses=(ipaddress.ip_network("127.0.0.0/8"),)))
    try:
        fetching.fetch(pipe, runs.start("poll"), feeds)
        used, started = time.process_time(), time.monotonic()
        landing = fetching.fetch(pipe, runs.start("poll"), feeds)
        used, wall = time.process_time() - used, time.monotonic() - started
        lines = pipe.landing.read_json(landing.removesuffix(".warc.gz") + ".json")["feeds"]
        assert [line["status"] for line in lines] == ["unchanged"] * len(feeds)
        return used, wall
    finally:
        pipe.close()


def _peer(urls: list[str]) -> tuple[float, float]:
    tags: dict[str, str] = {}
    with requests.Session() as session:
        for _ in range(2):  # the second time counts
            used, started = time.process_time(), time.monotonic()
            for url in urls:
                answer = session.get(url, headers={"If-None-Match": tags[url]} if url in tags else {}, timeout=20)
                if answer.status_code == requests.codes.ok:
                    feedparser.parse(answer.content)
                    tags[url] = answer.headers["ETag"]
    return time.process_time() - used, time.monotonic() - started


if __name__ == "__main__":
    main()
