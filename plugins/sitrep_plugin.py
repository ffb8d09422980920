"""Sitrep in Airflow's own page: run reports and the health of feeds, behind Airflow's login.

Every task imports this file, so it imports next to nothing; the pages are built when the API server asks for them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin


class SitrepPlugin(AirflowPlugin):
    name = "sitrep"
    external_views = [  # noqa: RUF012 - Airflow's own way to declare them
        {
            "name": "Sitrep",
            "href": "/sitrep/",
            "destination": "nav",
            "category": "browse",
            "url_route": "sitrep",
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """Airflow leaves mounted apps open to the world: these carry its login, and its right to see the website."""
        from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
        from airflow.api_fastapi.core_api.security import requires_access_view
        from fastapi import Depends

        from sitrep import check_ingest

        check_ingest()
        from sitrep_moves import settings

        from ingest.web.access import Access
        from ingest.web.app import create_app
        from ingest.web.window import Window

        guard = Depends(requires_access_view(AccessView.WEBSITE))
        app = create_app(Window(settings), Access(readers=[guard], framed=True))
        return [{"name": "sitrep", "app": app, "url_prefix": "/sitrep"}]
