# Sitrep with Airflow: one image for every part of docker-compose.yml that is ours. DESIGN.md says why not FROM
# apache/airflow. The versions of everything in it are those of uv.lock.
FROM python:3.11.15-slim-bookworm AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never \
    UV_NO_CACHE=1 \
    UV_COMPILE_BYTECODE=1
WORKDIR /src
# What others made changes seldom: it is a layer of its own, and stays when only Sitrep changes.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --extra airflow --extra deploy --no-install-project
COPY README.md LICENSE sitrep.py ./
COPY ingest ingest
COPY dags dags
COPY plugins plugins
COPY seeds seeds
RUN uv sync --frozen --no-dev --extra airflow --extra deploy --no-editable

FROM python:3.11.15-slim-bookworm
# `setup` alone may read what sets up Elasticsearch and Kibana; make_secrets.py knows the two numbers.
RUN useradd --uid 10001 --create-home sitrep \
    && useradd --uid 10002 --create-home setup \
    && install --directory --owner sitrep --group sitrep /opt/airflow /var/lib/sitrep /var/log/airflow \
    && install --owner sitrep --group sitrep /dev/null /opt/airflow/airflow.cfg
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONWARNINGS=ignore \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/venv/lib/python3.11/site-packages/ingest/dags \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/var/log/airflow \
    AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY=/var/log/airflow/dag_processor \
    SITREP_HOME=/var/lib/sitrep
WORKDIR /opt/sitrep
COPY --from=build /opt/venv /opt/venv
COPY ops ops
USER 10001:10001
CMD ["sitrep", "--help"]
