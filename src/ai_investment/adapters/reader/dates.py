"""Dates as feeds write them: read whole, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_RFC_822 = re.compile(
    r"(?:[a-z]{3,9}\.?,?\s+)?\d{1,2}\s+[a-z]{3,9}\.?\s+(?:\d{4}|\d{2})\s+\d{1,2}:\d{2}(?::\d{2})?"
    r"(?:\s*(?:[+-]\d{2}:?\d{2}|[a-z]{1,5}))?",
    re.I,
)
# Year first, so that day and month cannot be mixed up; with any separator.
_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})"
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?)?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.I,
)
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)


def whole_date(text: str | None, *, now: datetime) -> datetime | None:
    """The moment that `text` states, in UTC (also where it states no zone); a day is its midnight.

    None where any part of the text is not understood, for a day that has not come, and for times before
    the web (clocks that were never set).
    """
    text = (text or "").strip()
    moment = None
    try:
        if match := _YEAR_FIRST.fullmatch(text):
            moment = _year_first(match)
        elif _RFC_822.fullmatch(text):
            moment = parsedate_to_datetime(
                re.sub(r"\b([A-Za-z]{3})[A-Za-z]*\.?(?=,?\s)", r"\1", text)
            )
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment is None:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if _FIRST < moment < now + timedelta(days=1) else None


def _year_first(match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    zone = (match[7] or "Z").upper()
    offset = "+0000" if zone in ("Z", "UTC", "GMT") else zone.replace(":", "")
    stated = f"{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{offset}"
    return datetime.strptime(stated, "%Y-%m-%d %H:%M:%S%z")
