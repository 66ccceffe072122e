"""Every metric there is. What is not declared here cannot be counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: Stands for the values of a label that are one too many: what is counted under it is counted, only
#: not told apart.
OTHER = "(other)"


class Kind(StrEnum):
    """A counter adds up; a gauge is looked at now and again; a histogram has quantiles."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """What is counted, in which unit, told apart by which labels.

    `floor` is the smallest value that histograms tell from smaller ones, in the unit. `open_labels`
    are those whose values others choose: they become `OTHER` where a metric has more than `most`
    series that were seen in the last week.
    """

    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...]
    floor: float = 0.1
    open_labels: tuple[str, ...] = ()
    most: int = 1000

    def __post_init__(self) -> None:
        if not set(self.open_labels) <= set(self.labels):
            raise ValueError(f"open labels {self.open_labels} are not among {self.labels}")

    def other(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The series that stands for these values of the labels, where they are one too many."""
        folded = self.open_labels or self.labels
        return tuple(
            OTHER if name in folded else value
            for name, value in zip(self.labels, values, strict=True)
        )


_STREAM = ("system", "stream")

NAMES: dict[str, Metric] = {
    # --- calls to other systems
    "call_milliseconds": Metric(
        Kind.HISTOGRAM, "milliseconds",
        "Calls to a system, by operation and outcome: ok, or the code of the error.",
        ("system", "operation", "outcome"), open_labels=("operation",),
    ),
    "call_sent_bytes": Metric(
        Kind.HISTOGRAM, "bytes", "Size of what was sent to a system.",
        ("system", "operation"), floor=16, open_labels=("operation",),
    ),
    "call_received_bytes": Metric(
        Kind.HISTOGRAM, "bytes", "Size of what a system answered.",
        ("system", "operation"), floor=16, open_labels=("operation",),
    ),
    "call_headroom": Metric(
        Kind.GAUGE, "share", "Share of a system's rate limit that is left, where it tells.",
        ("system",), floor=0.001,
    ),
    # --- streams
    "stream_lag_seconds": Metric(
        Kind.GAUGE, "seconds", "Now minus the watermark of a stream.", _STREAM
    ),
    "stream_delay_seconds": Metric(
        Kind.GAUGE, "seconds",
        "For how long something that changed upstream, or may have, is not applied.", _STREAM,
    ),
    "stream_records": Metric(
        Kind.COUNTER, "records", "Records of a stream, by what became of them.",
        (*_STREAM, "outcome"),
    ),
    "stream_quarantine": Metric(
        Kind.GAUGE, "records", "Records of a stream that are held for breaking their contract.",
        _STREAM,
    ),
    "run_seconds": Metric(
        Kind.HISTOGRAM, "seconds", "Sync runs of a stream, by kind and by how they ended.",
        (*_STREAM, "kind", "outcome"), floor=0.01,
    ),
    "propagation_seconds": Metric(
        Kind.HISTOGRAM, "seconds", "From a change upstream, as its system dates it, to its commit here.",
        _STREAM, floor=0.01,
    ),
    # --- inbox and outbox
    "box_seconds": Metric(
        Kind.HISTOGRAM, "seconds", "From the arrival of a message to its end, by how it ended.",
        ("box", "place", "outcome"), floor=0.001,
    ),
    "box_waiting": Metric(
        Kind.GAUGE, "messages", "Messages that wait, or are being worked on.", ("box", "place"),
    ),
    "box_oldest_seconds": Metric(
        Kind.GAUGE, "seconds", "For how long the oldest of them has waited.", ("box", "place"),
    ),
    # --- what the hub is asked
    "api_milliseconds": Metric(
        Kind.HISTOGRAM, "milliseconds",
        "Requests of a key, by operation and by where the answer came from, or how it failed.",
        ("operation", "key", "outcome"), floor=0.01, open_labels=("operation",), most=3000,
    ),
    # --- promises
    "freshness_late": Metric(
        Kind.GAUGE, "share",
        "1 in a minute in which an objective was missed, 0 in one in which it was met.",
        ("objective", *_STREAM), floor=0.001,
    ),
    "freshness_excused": Metric(
        Kind.GAUGE, "share", "1 in a minute of planned maintenance, which an objective leaves out.",
        ("objective", *_STREAM), floor=0.001,
    ),
}  # fmt: skip
