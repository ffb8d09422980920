"""What every worker needs and is slow to get, got once: half a second of imports, the model of languages, tables.

The one module that does something when it is imported. The server that workers are forked from imports it, and nobody
else.
"""

from multiprocessing import spawn

from ingest.pipeline.reading import load_models


def _warm() -> None:
    try:
        load_models()
    except (OSError, MemoryError):
        pass  # each worker tries again when it is prepared, and says what fails
    # A worker would run the parent's main script again, to find functions that stand in it. Ours stand in modules, and
    # the script may be Airflow's, which takes seconds to import.
    vars(spawn)["_fixup_main_from_path"] = lambda _: None


_warm()
