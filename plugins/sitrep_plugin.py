"""Sitrep in Airflow's own page: search, stories, feeds, runs and topics, behind Airflow's login.

Every task imports this file, so it imports next to nothing; the pages are built when the API server asks for them.
Annotations are evaluated here, not kept as text: FastAPI reads those of functions that are made inside a function.
"""

import logging
from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger("sitrep.plugin")
EDITS = "sitrep_daily"  # who may edit this DAG may change feeds


class SitrepPlugin(AirflowPlugin):
    name = "sitrep"
    external_views = [  # noqa: RUF012 - Airflow's own way to declare them
        {
            "name": "Sitrep",
            "href": "/sitrep/",
            "destination": "nav",
            "category": "browse",
            "url_route": "sitrep",
        },
        {
            "name": "Sitrep runs",
            "href": "/sitrep/runs",
            "destination": "dag",
            "url_route": "sitrep-runs",
        },
        *(
            {
                "name": "Sitrep report",
                "href": "/sitrep/runs/of?dag_id={DAG_ID}&run_id={RUN_ID}",
                "destination": place,
                "url_route": f"sitrep-report-{place}",
            }
            for place in ("dag_run", "task_instance")
        ),
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """Airflow leaves mounted apps open to the world: these carry its login, and its right to see the website. Where
        they cannot be built, nobody is let in, and Airflow goes on."""
        try:
            app = _application()
        except Exception:  # whatever is wrong with what was installed
            log.exception("Sitrep's pages cannot be served")
            app = _closed
        return [{"name": "sitrep", "app": app, "url_prefix": "/sitrep"}]


def _application() -> Any:
    from sitrep import check_ingest

    check_ingest()
    from sitrep_moves import settings

    from ingest.web.app import create_app
    from ingest.web.window import Window

    return create_app(Window(settings), _access())


async def _closed(scope: Any, _: Any, send: Any) -> None:
    """What answers everybody where there are no pages."""
    text = b"Sitrep's pages cannot be served: the log of the API server says why."
    if scope["type"] == "http":
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def _access() -> Any:
    """Readers see Airflow's website; writers may edit DAG `EDITS` as well."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagDetails
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
    from fastapi import Depends, HTTPException, Request

    from ingest.web.access import Access, same_origin

    def knows(request: Request, user: GetUserDep) -> None:
        may = get_auth_manager().is_authorized_dag(method="PUT", details=DagDetails(id=EDITS), user=user)
        request.state.sitrep_may_write = may

    def writes(request: Request) -> None:
        if not request.state.sitrep_may_write:
            raise HTTPException(403, f"To change anything here, the right to edit the DAG {EDITS} is needed.")

    return Access(
        readers=[Depends(requires_access_view(AccessView.WEBSITE)), Depends(knows)],
        writers=[Depends(writes), Depends(same_origin)],
        may_write=lambda request: getattr(request.state, "sitrep_may_write", False),
        framed=True,
    )
