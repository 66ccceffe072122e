"""What a person sees of causes and of a dry run."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from catalog import masking
from catalog.admin import changes_html, entity_link
from catalog.history import Revision
from connectors.admin.letter_list import Shown
from connectors.replay.chosen import Chosen
from connectors.replay.letters import Letters
from connectors.replay.rehearsal import RecordChange
from observability.display import Tone, ago, badge

MOST_CAUSES = 20
LABELS = {
    "code": "error code",
    "q": "text",
    "since": "died since",
    "until": "died until",
    "ids": "messages",
}
KINDS = {"created": Tone.GOOD, "changed": Tone.BUSY, "restored": Tone.GOOD, "deleted": Tone.BAD}


def cause_rows(letters: Letters, shown: Shown, now: datetime) -> list[dict[str, Any]]:
    """The causes behind what is shown, each with the filter that means it."""
    rows = []
    for cause in letters.causes(shown.chosen, MOST_CAUSES):
        places = dict(zip(letters.places, cause.places, strict=True))
        rows.append(
            {
                "cause": cause,
                "places": [place for place in cause.places if place],
                "first": ago(cause.first, now),
                "last": ago(cause.last, now),
                "query": shown.query(**places, cause=cause.key),
            }
        )
    return rows


def rehearsal_page(letters: Letters, chosen: Chosen) -> dict[str, Any]:
    """The dry run of what is chosen, for its template."""
    count = letters.dead(chosen).count()
    made = letters.dry_run(chosen)
    covered = masking.cover_names()
    return {
        "count": count,
        "made": made,
        "left_untried": count - made.tried,
        "words": chosen.words(),
        "filter": _in_words(letters, chosen, count),
        "outcomes": [
            (
                badge(f"{outcome.count:,}", outcome.tone),
                outcome,
                masking.told(outcome.what, covered),
            )
            for outcome in made.ranked
        ],
        "records": [
            {
                "record": record,
                "link": entity_link(record.entity, record.key),
                "kind": badge(record.kind, KINDS[record.kind]),
                "changes": _changes(record),
            }
            for record in made.shown_records
        ],
        "records_left_out": len(made.records) - len(made.shown_records),
        "calls_left_out": len(made.calls) - len(made.shown_calls),
    }


def _changes(record: RecordChange) -> Any:
    return changes_html(
        Revision(entity=record.entity, key=record.key, kind=record.kind, changes=record.fields)
    )


def _in_words(letters: Letters, chosen: Chosen, count: int) -> list[tuple[str, str]]:
    """The filter as a person reads it: a cause by its error, not by its key."""
    words = {name: word for name, word in chosen.words().items() if name != "seen"}
    if "cause" in words:
        found = letters.causes(chosen, 1) if count else []
        words["cause"] = found[0].error if found else words["cause"]
    if "ids" in words:
        words["ids"] = ", ".join(f"#{id_}" for id_ in chosen.ids[:10])
        if len(chosen.ids) > 10:
            words["ids"] += f" and {len(chosen.ids) - 10} more"
    for name, moment in (("since", chosen.since), ("until", chosen.until)):
        if moment:
            words[name] = f"{moment:%Y-%m-%d %H:%M} UTC"
    return [(LABELS.get(name, name), word) for name, word in words.items()]
