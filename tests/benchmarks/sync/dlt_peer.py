"""One pass of dlt: its REST source into PostgreSQL, merged on the primary key, nested values JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time


def main(base_url: str, version: int, database: str, directory: str, form: str) -> None:
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt
    from dlt.sources.rest_api import rest_api_source

    parts = json.loads(database)
    parts["username"] = parts.pop("user")
    # dlt makes a URL of it; the directory of a socket survives in its query alone.
    parts |= {"host": "localhost", "query": {"host": parts["host"]}}
    destination = dlt.destinations.postgres(credentials=parts)
    began = time.perf_counter()
    source = rest_api_source(
        {
            "client": {
                "base_url": base_url,
                "paginator": {"type": "json_link", "next_url_path": "next"},
            },
            "resources": [
                {
                    "name": "listings",
                    "primary_key": "id",
                    "write_disposition": "merge",
                    "max_table_nesting": 0,
                    "endpoint": {
                        "path": "listings",
                        "params": {"page": 1, "v": version},
                        "data_selector": "data",
                    },
                }
            ],
        },
        max_table_nesting=0,
    )
    pipeline = dlt.pipeline(
        "bench", destination=destination, dataset_name="peer_dlt", pipelines_dir=directory
    )
    pipeline.run(source, **({"loader_file_format": form} if form else {}))
    seconds = time.perf_counter() - began
    with pipeline.sql_client() as client:
        rows = client.execute_sql("SELECT count(*) FROM listings")[0][0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "megabytes": peak}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5])
