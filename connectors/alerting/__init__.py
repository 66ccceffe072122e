"""What this floor has to say of trouble: signals about streams, boxes, systems and the workers, and
the rules for them that come with the hub.

streams     lag, runs, cursors, quarantine, what is stopped or held
calls       how often and how fast systems answer, and how often streams are late
boxes       inbox and outbox, dead letters, subscribers, commands
systems     credentials, what an upstream forgets, clocks, the workers
changes     values that change too much, events that never came, who was turned away
rules       from when on each of them is an incident
"""

from __future__ import annotations


def take_part() -> None:
    """Make signals and rules known, and take messages over; once, from `AppConfig.ready`."""
    from connectors.alerting import (  # noqa: PLC0415 (models are loaded by now)
        boxes,
        calls,
        changes,
        rules,
        streams,
        systems,
    )
    from connectors.drift import runbook  # noqa: PLC0415 (the same)
    from connectors.outbox import channels  # noqa: PLC0415 (the same)
    from observability import defaults, runbooks, signals, telling  # noqa: PLC0415 (the same)

    for part in (streams, calls, boxes, systems, changes):
        signals.add(*part.SIGNALS)
    defaults.by_default(*rules.RULES)
    telling.deliver_by(channels.deliver)
    runbooks.add_context(rules.DRIFT, runbook.context)
