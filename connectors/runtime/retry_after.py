"""`Retry-After` in the three forms that upstreams send: seconds, float seconds, an HTTP date.

RFC 9110, section 10.2.3, knows whole seconds and dates; Shopify sends `2.0`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: No upstream means longer than this; a date in the year 9999 would stop a stream for good.
LONGEST = 24 * 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from 0 to `LONGEST`; None where the header is absent or unreadable.

    A date is measured against the answer's own `Date`, since the upstream's clock is not ours.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = _moment(text)
        if moment is None:
            return None
        now = _moment(headers.get("Date", "")) or datetime.now(UTC)
        seconds = (moment - now).total_seconds()
    if math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
