"""The window: search, stories, feeds and runs, as pages and as JSON. One FastAPI application.

    app.py         create_app: what is mounted, what every request passes through
    window.py      how a page gets its store and landing zone
    access.py      who may read and write; token, cookie, same origin, host
    headers.py     what every answer says to the browser
    rendering.py   templates, filters, error pages
    search.py, story.py, …   one module a page: `pages` is HTML, `api` the same as JSON

The application knows nothing of Airflow: whoever mounts it brings an `Access` of its own. All that is shown came from
outside once; templates escape it, and the browser is told to run nothing but our own files.
"""
