"""What every worker needs and is slow to get, got once: half a second of imports, the model of languages, tables.

The one module that does something when it is imported. The server that workers are forked from imports it, and nobody
else.
"""

from multiprocessing import spawn

from ingest import addresses, clean, dedup
from ingest.pipeline import reading as reading

SAMPLE = "Officials of the county said that the bridge over the river would stay closed until the end of the week."


def _warm() -> None:
    clean.language(SAMPLE)
    dedup.fingerprints([(None, SAMPLE)])
    addresses.site("https://news.example/")
    # A worker would run the parent's main script again, to find functions that stand in it. Ours stand in modules, and
    # the script may be Airflow's, which takes seconds to import.
    vars(spawn)["_fixup_main_from_path"] = lambda _: None


_warm()
