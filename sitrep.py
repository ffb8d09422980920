"""The front door: makes sure that the `ingest` behind it is ours before anything of it is used.

The package is called `ingest`, a name that others use as well. What stands outside of it (the console script, the DAGs,
the plugin) comes in through here, so that a stranger in the way is named instead of being run.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent


def check_ingest() -> None:
    """Raises ImportError, naming the path, where Python's `ingest` is another package than the one beside this file."""
    spec = find_spec("ingest")
    found = Path(spec.origin).resolve() if spec and spec.origin else None
    if found and found.parent == HERE / "ingest" and found.read_bytes().startswith(b'"""Sitrep:'):
        return
    where = found.parent if found else list(spec.submodule_search_locations or []) if spec else "nowhere"
    raise ImportError(
        f"another package called ingest is in the way: Python finds {where}, and Sitrep's is {HERE / 'ingest'}. "
        "Take it off PYTHONPATH and out of Airflow's folders for DAGs, plugins and config, or uninstall it."
    )


def main() -> None:
    """The command `sitrep`."""
    check_ingest()
    from ingest.__main__ import main as command

    command()
