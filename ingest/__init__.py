"""Sitrep: a news ingestion pipeline for people who follow a conflict.

    seeds ──> fetch ──> landing ──> parse ──> clean ──> tag ──> dedup ──> store ──> search
                           ▲
                archive ───┘      (anybody's WARC, JSON Lines or folder of pages)

Three moves, each a command, each an Airflow task (`ingest.pipeline`):

    fetch    feeds that are due  →  WARC files in the landing zone
    digest   a landing file or a file of a foreign archive  →  files of stories (pure: no network, no store)
    publish  files of stories  →  the store (one writer at a time)
"""

__version__ = "0.1.0"
