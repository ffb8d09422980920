"""Whether a part of Airflow is well, as the API server tells: 0.1 s, where `airflow jobs check` takes 4 s of CPU.

python healthy.py api_server|scheduler|dag_processor|triggerer [ADDRESS OF THE API SERVER]
"""

from __future__ import annotations

import json
import sys
import urllib.request


def main(part: str, base: str = "http://api-server:8080") -> int:
    """The exit code. Of the API server: whether it answers and reaches the metadata."""
    try:
        with urllib.request.urlopen(f"{base}/api/v2/monitor/health", timeout=8) as answer:
            told = json.load(answer)
    except (OSError, ValueError) as error:
        print(f"{base}: {error}")
        return 1
    status = told.get("metadatabase" if part == "api_server" else part, {}).get("status")
    print(f"{part}: {status}")
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
