"""The store against a plain model: whatever is written, every order of reading agrees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sandbox.store import Change, Collection, Document, Row, Store, merged

SIZE = 20
BASE_MS = 1000


def base_ms(index: int) -> int:
    return BASE_MS + index // 3 * 10  # ties of three


def stamp(doc: Document, ms: int) -> None:
    doc["at"] = ms


def shop(state: Path | None = None, size: int = SIZE, label: str = "shop") -> Store:
    store = Store(state, label=label)
    store.register(
        Collection(
            "sys", "things", size,
            key=lambda i: f"k{i:03d}",
            index=lambda key: int(key[1:]) if key[0] == "k" and key[1:].isdecimal() else None,
            build=lambda i: {"id": f"k{i:03d}", "n": i, "at": base_ms(i)},
            changed_ms=base_ms,
            stamp=stamp,
        )
    )  # fmt: skip
    store.replay()
    return store


def walk(store: Store, step: int, **wanted: Any) -> list[Row]:
    rows: list[Row] = []
    after = None
    while chunk := store.scan("sys", "things", after=after, limit=step, **wanted):
        rows += chunk
        after = (chunk[-1].changed_ms, chunk[-1].key)
    return rows


KEYS = st.sampled_from([f"k{i:03d}" for i in range(SIZE)] + ["m1", "m2", "z9"])
WRITES = st.lists(st.tuples(st.sampled_from(["put", "delete"]), KEYS), max_size=30)


@settings(max_examples=60, deadline=None)
@given(writes=WRITES, step=st.integers(1, 9), floor=st.integers(0, BASE_MS + 80))
def test_every_order_of_reading_agrees_with_a_plain_dictionary(
    writes: list[tuple[str, str]], step: int, floor: int
) -> None:
    store = shop()
    model = {f"k{i:03d}": base_ms(i) for i in range(SIZE)}
    for kind, key in writes:
        if kind == "put":
            model[key] = store.put("sys", "things", key, {"id": key})["at"]
        else:
            assert store.delete("sys", "things", key) == (key in model)
            model.pop(key, None)
    by_time = sorted((at, key) for key, at in model.items())
    assert [(row.changed_ms, row.key) for row in walk(store, step)] == by_time
    late = [pair for pair in by_time if pair[0] >= floor]
    assert [(r.changed_ms, r.key) for r in walk(store, step, changed_from_ms=floor)] == late
    skipped = store.scan("sys", "things", changed_from_ms=floor, offset=step, limit=5)
    assert [(r.changed_ms, r.key) for r in skipped] == late[step : step + 5]
    in_order = sorted(model)
    paged = [store.page("sys", "things", offset=o, limit=step) for o in range(0, 30, step)]
    assert [doc["id"] for page in paged for doc in page] == in_order
    changed = sorted(key for at, key in late)
    read = [
        store.page("sys", "things", offset=o, limit=step, changed_from_ms=floor)
        for o in range(0, 30, step)
    ]
    assert [doc["id"] for page in read for doc in page] == changed
    assert store.count("sys", "things") == len(model)
    assert store.count("sys", "things", changed_from_ms=floor) == len(late)


def test_equal_times_across_a_page_border_lose_nothing() -> None:
    rows = walk(shop(), 2)
    assert [row.key for row in rows] == [f"k{i:03d}" for i in range(SIZE)]


def test_a_tombstone_is_seen_only_where_asked_for() -> None:
    store = shop()
    assert store.delete("sys", "things", "k004")
    assert not store.delete("sys", "things", "k004")
    assert store.get("sys", "things", "k004") is None
    assert "k004" not in [row.key for row in walk(store, 7)]
    buried = [row for row in walk(store, 7, include_deleted=True) if row.deleted]
    assert [(row.key, row.doc["n"]) for row in buried] == [("k004", 4)]


def test_listeners_hear_what_happened_in_order_with_a_time_that_only_grows() -> None:
    store, heard = shop(), list[Change]()
    store.listeners.append(heard.append)
    store.put("sys", "things", "new", {"id": "new"})
    store.patch("sys", "things", "new", {"colour": "red"})
    store.delete("sys", "things", "new")
    assert [change.kind for change in heard] == ["created", "updated", "deleted"]
    assert heard[1].doc["colour"] == "red"
    assert heard[2].doc["colour"] == "red"
    assert heard[0].at_ms < heard[1].at_ms < heard[2].at_ms


def test_changes_outlive_the_process(tmp_path: Path) -> None:
    store = shop(tmp_path)
    at = store.put("sys", "things", "k001", {"id": "k001", "n": 99})["at"]
    store.delete("sys", "things", "k002")
    again = shop(tmp_path)
    assert again.get("sys", "things", "k001") == {"id": "k001", "n": 99, "at": at}
    assert again.get("sys", "things", "k002") is None
    assert again.put("sys", "things", "k003", {"id": "k003"})["at"] > at


def test_a_journal_cut_by_a_crash_keeps_what_was_complete(tmp_path: Path) -> None:
    shop(tmp_path).put("sys", "things", "k001", {"id": "k001", "n": 99})
    journal = tmp_path / "sandbox.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"at": 17, "sys')
    store = shop(tmp_path)
    store.put("sys", "things", "k002", {"id": "k002", "n": 98})
    last = shop(tmp_path)
    kept = [last.get("sys", "things", key) or {} for key in ("k001", "k002")]
    assert [doc["n"] for doc in kept] == [99, 98]


def test_a_journal_of_another_world_is_set_aside_not_applied(tmp_path: Path) -> None:
    shop(tmp_path).put("sys", "things", "k001", {"id": "k001", "n": 99})
    other = shop(tmp_path, label="a larger shop")
    assert (other.get("sys", "things", "k001") or {})["n"] == 1
    assert (tmp_path / "sandbox.other-world.jsonl").exists()


def test_a_reset_brings_back_the_first_day(tmp_path: Path) -> None:
    store = shop(tmp_path)
    store.put("sys", "things", "k001", {"id": "k001", "n": 99})
    store.delete("sys", "things", "k002")
    store.reset()
    assert store.count("sys", "things") == SIZE
    assert (shop(tmp_path).get("sys", "things", "k001") or {})["n"] == 1


@pytest.mark.parametrize(
    ("doc", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "c": 1}, {"a": None}, {"c": 1}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1, 2]}, {"a": {"b": None}}, {"a": {}}),
    ],
)
def test_merge_patches(doc: Document, patch: Document, result: Document) -> None:
    assert merged(doc, patch) == result


def test_what_a_reference_made_is_counted_also_in_the_next_process(tmp_path: Path) -> None:
    def shop() -> Store:
        made = Store(tmp_path)
        made.register(
            Collection(
                "wms", "bookings", 0, key=str, index=lambda _: None, build=lambda _: {},
                changed_ms=lambda _: 0,
            )
        )  # fmt: skip
        made.replay()
        return made

    store = shop()
    with store.together():
        store.put("wms", "bookings", "1", {"n": 1}, reference="order-7")
        store.put("wms", "bookings", "2", {"n": 2}, reference="order-7")
        assert "order-7" not in (tmp_path / "sandbox.jsonl").read_text()  # all of it, or nothing
    store.put("wms", "bookings", "2", {"n": 3}, reference="order-8")  # an update makes nothing
    store.delete("wms", "bookings", "1")
    for one in (store, shop()):
        assert one.references("wms") == {"bookings": {"order-7": 2}}
        assert one.overlay("wms", "bookings") == [("2", {"n": 3})]
        assert one.last_added("wms", "bookings") == "2"
