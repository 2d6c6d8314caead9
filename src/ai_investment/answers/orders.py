"""Words in a source that are meant for a machine and not for a reader."""

from __future__ import annotations

import re

_ORDERS = re.compile(
    r"""\b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,40}
          \b(?:instructions?|rules?|prompts?|guidelines?|previous|above|everything|system)\b
    |\b(?:system|developer|hidden)\s+(?:prompt|message|instructions?)\b
    |\byou\ are\ (?:now\ )?(?:an?\ |the\ )?(?:ai|assistant|(?:large\ )?language\ model|chat\s?bot|bot|gpt|dan)\b
    |\b(?:as|dear|hey|attention|note\ to)\s+(?:an?\ |the\ |all\ )?(?:ai|llms?|assistants?|language\ models?|chat\s?bots?|gpt)\b
    |\b(?:ai|llm|assistant|language\ model|chat\s?bot)s?\ (?:reading|processing|must|should|shall|who|that\ read)\b
    |\b(?:tell|inform|advise|convince|instruct|urge|assure)\s+(?:the\ |all\ |every\ |each\ |your\ )?(?:user|reader|asker)s?\b
    |\b(?:reply|respond|answer|output)\s+(?:only\ )?(?:with|exactly|that)\b
    |\b(?:do\ not|don't|never)\s+(?:mention|reveal|cite|disclose|tell|show)\b[^.\n]{0,30}\b(?:this|these|source|passage|user|instruction|prompt)s?\b
    |\breveal\s+(?:your|the)\b|\bjail\s?break|\bdeveloper\ mode\b
    |<\|[^|\n]{0,40}\|>|\[/?INST\]|<</?SYS>>|^\s*(?:assistant|system|user)\s*:""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)


def gives_orders(text: str) -> bool:
    """Whether a text speaks to the machine that reads it; such a sentence is never quoted or relied on."""
    return bool(_ORDERS.search(text))
