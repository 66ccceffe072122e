"""Raw payloads as people read them."""

from __future__ import annotations

from catalog.payload import lines, pretty


def shown(payload: str, *marked: str, limit: int = 400) -> list[str]:
    """The marked lines."""
    html = pretty(payload, marked, limit)
    return [piece.split("\n")[0] for piece in html.split('<span class="hw-line hw-marked">')[1:]]


def test_numbers_order_and_repeated_members_stay_as_they_were_sent() -> None:
    payload = '{"b":1.10,"a":1e3,"a":123456789012345678901234567890}'
    texts = [line.text for line in lines(payload)]
    assert texts == [
        "{",
        '  "b": 1.10,',
        '  "a": 1e3,',
        '  "a": 123456789012345678901234567890',
        "}",
    ]


def test_a_nested_member_is_marked_whole() -> None:
    payload = '{"a":{"b":[{"c":1},{"c":2}]},"d":3}'
    assert shown(payload, "a.b.1") == ["      {", "        &quot;c&quot;: 2", "      }"]


def test_a_missing_member_marks_where_it_should_have_been() -> None:
    assert shown('{"a":{"b":1},"d":3}', "a.gone")[0] == "  &quot;a&quot;: {"


def test_markup_in_a_payload_is_text() -> None:
    assert "<script>" not in pretty('{"a":"<script>alert(1)</script>"}', ["a"])
    assert "<script>" not in pretty("<script>not json</script>")


def test_of_a_long_payload_the_lines_around_the_mark_are_shown() -> None:
    payload = "{" + ",".join(f'"m{n}":{n}' for n in range(1000)) + "}"
    html = pretty(payload, ["m700"], limit=50)
    assert "m700" in html
    assert html.count("hw-line") < 60
    assert "lines left out" in html


def test_what_is_nested_too_deeply_is_shown_as_it_came() -> None:
    payload = "[" * 100_000
    assert lines(payload)[0].text == payload
