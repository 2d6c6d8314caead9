"""The gate's fixed words. No model writes or changes them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

PERSONAL_ADVICE = (
    "I can't tell you what to buy or sell, when, or how much: I don't know your whole situation, nobody knows "
    "what a price will do next, and with your own money the choice should stay yours. "
    "What I can do is explain how people think about such a choice. A grown-up you trust or a licensed adviser "
    "can look at your situation with you."
)
INJECTION = (
    "That reads like an instruction about how I work, and I don't follow those from a message. "
    "If there is a question about money or investing in it, ask just that and I'll gladly answer."
)
HARMFUL = (
    "I won't help with this: it can hurt people or break the law, and it often ends badly for the person who tries. "
    "I'm happy to explain how such schemes work so that you can spot and avoid them. "
    "If somebody is pushing you into it, talk to a grown-up you trust, or to the police or your bank."
)
RISKY_FOR_MINORS = (
    "Betting, borrowing to invest, options and the like are closed to people under 18 in most places, "
    "because one can lose more than one has. I won't explain how to get in, but I can explain the risk."
)
PERSONAL_DATA = (
    "Your message held private details ({kinds}). I removed them and kept nothing of them. "
    "Please don't share such details in a chat. What would you like to know?"
)
PERSONAL_DATA_NOTE = (
    "I removed private details from your message ({kinds}) and kept nothing of them; "
    "please don't share such details in a chat.\n\n"
)
UNDER_AGE = (
    "Nice that you are curious about money! I may only talk with people who are 13 or older, so I kept nothing of "
    "what you wrote. Ask a parent or another grown-up to look at this together with you. "
    "And if something worries you or somebody hurts you, you can call a children's helpline for free: 116 111 in much of "
    "Europe, 0800 1111 in the UK, 988 in the US and Canada, or find yours at https://findahelpline.com."
)
GENTLE = (
    "I'm still thinking of what you wrote before. If it gets heavy again, you can talk to somebody at any time: "
    "{contact}.\n\n"
)

# What to read about instead: the first whose words stand in the message.
_STUDIES = (
    (r"crypto|bitcoin|btc|eth\b|ethereum|coin|doge|token|nft|крипт|биткоин|比特币|币|仮想通貨|비트코인", "What is cryptocurrency and what are its risks?"),
    (r"how much|percent|all in|amount|savings|salary|wie ?viel|combien|cuant|quant[oi]|hoe ?veel|ile |ne kadar|сколько|多少|いくら|कितन", "What should be in place before somebody starts to invest?"),
    (r"\bsell|dump|cash out|hold|verkauf|vendre|vender|vendere|verkop|sprzeda|sat(?:mal|ay)|прода|卖|売|팔|बेच", "What is risk, and why do prices go up and down?"),
    (r"etf|fund|fonds|fond[oi]|index|s&p|基金|ファンド|펀드|फंड", "What is a fund, and what does it cost?"),
    (r"bond|anleihe|obligat|облигац|债|債", "What is a bond, and what are its risks?"),
)  # fmt: skip
_STUDY = "What is the risk of a single share, and how does diversification help?"
STUDY_RISK = "What is risk, and can an investment lose money?"
UNKNOWN_OFFER = (
    "I can't look into this offer for you, so I can't say whether it is honest. What helps is to hold it against "
    "the warning signs, to send no money meanwhile, and to show it to a grown-up you trust.\n\n"
)
STUDY_SCAM = "What is a scam, and how can one recognise it?"


def study_for(folded: str) -> str:
    """The question of ours that is nearest to what a request for advice is about."""
    return next((study for words, study in _STUDIES if re.search(words, folded)), _STUDY)


@cache
def _help() -> dict[str, Any]:
    text = files("ai_investment.answers.safety").joinpath("help.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def crisis_text(language: str = "en", country: str | None = None, *, again: bool = False) -> str:
    """The reviewed text with contacts: of the country, else of the language's, else of the world."""
    told = _help()
    words = told["texts"].get(language, told["texts"]["en"])
    wanted = [country] if country in told["countries"] else told["countries_of"].get(language, [])
    places = [told["countries"][code] for code in wanted]
    # Also where the country is known: it may be wrong, and its line may be busy.
    lines = [line for place in places for line in place["lines"]] + told["international"]["lines"][
        -1 if places else 0 :
    ]
    emergency = " / ".join(dict.fromkeys(place["emergency"] for place in places))
    return "\n\n".join(
        (
            words.get("again", words["opening"]) if again else words["opening"],
            "\n".join(f"- **{line['name']}**: {line['contact']}" for line in lines),
            words["danger"].format(emergency=emergency or told["international"]["emergency"]),
            words["closing"],
        )
    )


def gentle(country: str | None) -> str:
    """One line before the answers that follow a message of distress."""
    told = _help()
    place = told["countries"].get(country, told["international"])
    lines: Sequence[dict[str, str]] = (
        place["lines"][:1] if country in told["countries"] else place["lines"][-1:]
    )
    return GENTLE.format(contact=", ".join(f"{line['name']} {line['contact']}" for line in lines))
