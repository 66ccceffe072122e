"""Charts are well-formed SVG that says in words what it shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from observability.charts import line_chart, sparkline, spoken

SVG = ET.fromstring
START = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_sparkline_leaves_gaps_and_says_its_values() -> None:
    drawn = SVG(sparkline([1, None, 3, 2], title="calls of <sap>"))
    assert drawn.attrib["role"] == "img"
    assert [drawn.findtext("title"), drawn.findtext("desc")] == [
        "calls of <sap>", "from 1 to 3, last 2",
    ]  # fmt: skip
    # The value between two ends of the line is a dot, which would else not be seen.
    dot, line = sorted((path.attrib for path in drawn.iter("path")), key=lambda p: len(p["d"]))
    assert (dot["d"].count("M"), line["d"].count("L")) == (1, 1)
    assert float(dot["stroke-width"]) > float(line["stroke-width"])
    assert SVG(sparkline([], title="none")).findtext("desc") == "no values"


def test_lines_are_told_apart_without_colour_and_none_is_a_sentence() -> None:
    times = [START + timedelta(minutes=n) for n in range(3)]
    chart = line_chart(
        {"p95": [1, 2, 1500], "<b>": [3, None, 4]}, title="Latency", unit="ms", times=times
    )
    figure = SVG(chart)
    patterns = {
        path.attrib["stroke-dasharray"]
        for path in figure.iter("path")
        if "stroke-dasharray" in path.attrib
    }
    assert len(patterns) == 2
    assert "last 1.5k, most 1.5k ms" in "".join(figure.itertext())
    assert "&lt;b&gt;" in chart
    assert "nothing was measured" in line_chart(
        {"p95": [None]}, title="Latency", unit="ms", times=times[:1]
    )


def test_numbers_are_short() -> None:
    told = [spoken(v) for v in (0, 0.0421, 3.14159, 128, 999.6, 1234, 3_400_000, 2e10)]
    assert told == ["0", "0.0421", "3.14", "128", "1k", "1.23k", "3.4M", "20G"]
