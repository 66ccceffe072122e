"""What Prometheus is given reads by its own grammar, and says the same as what was counted."""

from __future__ import annotations

import re
from math import inf

import pytest

from observability import metrics
from observability.metrics import prometheus

pytestmark = pytest.mark.django_db

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\+Inf|-Inf|NaN|[-+0-9.eE]+)")
META = re.compile(rf"# (HELP|TYPE) ({NAME}) (.*)")
KINDS = {"counter", "gauge", "histogram"}

Sample = tuple[str, tuple[tuple[str, str], ...]]


def parsed(text: str) -> tuple[dict[str, str], dict[Sample, float]]:
    """({metric: kind}, {(name, labels): value}); refuses whatever the format does not allow."""
    kinds: dict[str, str] = {}
    samples: dict[Sample, float] = {}
    assert text.endswith("\n")
    helped: set[str] = set()
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            found = META.fullmatch(line)
            assert found, line
            if found[1] == "HELP":
                assert found[2] not in helped
                helped.add(found[2])
            else:
                assert found[2] not in kinds
                assert found[3] in KINDS
                kinds[found[2]] = found[3]
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        inside, labels = found[2] or "", []
        while inside:
            one = LABEL.match(inside)
            assert one, line
            labels.append(
                (one[1], re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], one[2]))
            )
            inside = inside[one.end() :]
        family = found[1]
        if family not in kinds:
            family = re.sub(r"_(bucket|sum|count)$", "", family)
            assert kinds[family] == "histogram", line
        # All lines of a metric are one group, after its TYPE.
        assert family == list(kinds)[-1], line
        key = (found[1], tuple(labels))
        assert key not in samples, line
        samples[key] = float(found[3])
    assert helped == set(kinds)
    return kinds, samples


def test_the_text_is_strict_and_true() -> None:
    metrics.forget()
    odd = 'GET "a\\b"\n{}'
    for value in (0.05, 3.0, 3.1, 700.0):
        metrics.observe("call_milliseconds", value, system="sap", operation=odd, outcome="ok")
    metrics.observe("call_milliseconds", 9000, system="crm", operation="GET", outcome="ok")
    metrics.count("stream_records", 7, system="sap", stream="prices", outcome="stored")
    metrics.observe("stream_lag_seconds", 12.5, system="sap", stream="prices")
    metrics.flush()
    kinds, samples = parsed("".join(prometheus.text()))
    assert kinds["headwater_stream_records_total"] == "counter"
    place = (("system", "sap"), ("stream", "prices"))
    assert samples["headwater_stream_lag_seconds", place] == 12.5
    assert samples["headwater_stream_records_total", (*place, ("outcome", "stored"))] == 7
    labels = (("system", "sap"), ("operation", odd), ("outcome", "ok"))
    name = "headwater_call_milliseconds"
    assert samples[f"{name}_count", labels] == 4
    assert samples[f"{name}_sum", labels] == pytest.approx(706.15)
    reached = {
        float(told[-1][1]): value
        for (known, told), value in samples.items()
        if known == f"{name}_bucket" and told[:-1] == labels
    }
    assert list(reached) == sorted(reached)
    assert list(reached.values()) == sorted(reached.values())
    # Each bound holds exactly what is not above it.
    for bound, value in reached.items():
        assert value == sum(v <= bound for v in (0.05, 3.0, 3.1, 700.0)), bound
    others = {
        told[-1][1] for known, told in samples if known == f"{name}_bucket" and told[0][1] == "crm"
    }
    assert {inf if b == "+Inf" else float(b) for b in others} == set(reached)
