"""Numbers about what happens: counted in the process, kept in PostgreSQL by minute, hour and day.

    metrics.count("stream_records", 20, system="sap", stream="prices", outcome="stored")
    metrics.observe("call_milliseconds", 12.5, system="sap", operation="GET products/{}", outcome="ok")

    names.py       every metric: what it counts, its unit, its labels, how many series it may have
    tally.py       one series while it is in the process; histograms of log-spaced buckets
    counting.py    a tally for each series; every ten seconds all of them to PostgreSQL, in sets
    store.py       series and measurements, and how they are written
    rolling.py     minutes become tens, these hours, hours days; what is old is deleted
    reading.py     counts, sums and quantiles over any span, from those rows
    prometheus.py  the same as text for Prometheus

All processes add to the same rows, so any of them can tell what all have counted. A process that is
killed loses what it counted since it last wrote: ten seconds at most. While PostgreSQL is away the
numbers wait, for an hour at most.
"""

from observability.metrics.counting import call, count, flush, fold, forget, observe, start
from observability.metrics.names import NAMES, OTHER, Kind, Metric
from observability.metrics.reading import Point, latest, series, series_by, total_by
from observability.metrics.rolling import roll_up
from observability.metrics.tally import Tally

__all__ = [
    "NAMES",
    "OTHER",
    "Kind",
    "Metric",
    "Point",
    "Tally",
    "call",
    "count",
    "flush",
    "fold",
    "forget",
    "latest",
    "observe",
    "roll_up",
    "series",
    "series_by",
    "start",
    "total_by",
]
