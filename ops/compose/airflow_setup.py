"""Brings Airflow's metadata up to date, with Sitrep's pools and a user `admin`; resets the executor.

    python airflow_setup.py FOLDER_OF_SECRETS

It runs at every start, before anything else of Airflow. What a person changed (a pool's slots, a password) stays.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # ops

import surroundings

ADMIN = "admin"
EXECUTOR = "LocalExecutor"  # the profile celery writes another name into the same file, after this ran


def main(folder: Path) -> None:
    executor = Path(os.environ["SITREP_HOME"]) / "executor"
    executor.write_text(f"{EXECUTOR}\n")
    surroundings.migrate()
    print("Airflow's metadata are up to date", flush=True)
    if _make_admin((folder / "airflow" / "admin-password").read_text()):
        print(f"user {ADMIN} is made: `docker compose run --rm secrets show` tells its password", flush=True)


def _make_admin(password: str) -> bool:
    """Whether it was not there. The command `airflow users create` would show its password in the list of processes."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        if manager.find_user(username=ADMIN):
            return False
        role = manager.find_role("Admin")
        if not manager.add_user(ADMIN, "Sitrep", "Admin", "admin@localhost", role, password=password):
            sys.exit(f"airflow_setup: the user {ADMIN} cannot be made; see above")
        return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
