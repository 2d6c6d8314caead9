"""Whether a question consists of a sum and little else."""

from __future__ import annotations

import re

_CUE = re.compile(
    r"\bhow (?:much|big|large|long|many|soon)\b|\bwhat(?:'s| is| will| would| does| do| can| could| happens)\b|\b(?:becomes?|worth|grows?|end up|total"
    r"|calculate|compute|when (?:will|would|do|does|can)|work out|future value|amount to|turn into|compound\w*|result|final)\b"
)
# What a plain sum is made of beside its quantities; each other word makes it less plain.
_WORDS = """
a about account add added adding after again against all already also am amount an and annual
annualised annualized another any approximately are around as aside assume assuming at average
averages away back bank basis be became become been before beginning being borrow borrowed borrowing
bought bring brings but buy buying by cagr calculate can cash cd charge charged charges charging
cheaper coins compound compounded compounding compounds compute contribute contributing contribution
contributions cost costs could debt deposit deposited depositing deposits did difference do does
dollar dollars double doubles each earn earning earns effective end ended ends etf etfs euros every
everything exactly expense expenses fee fees final first fixed for from fund funds future gain gains
get gets getting give gives goal going grew grow growing grown grows growth had happen happens has
have having held hello hey hi high higher hold holding how i i'd i'll if in index inflation initial
initially installments instalments instead interest into invest invested investing investment
investments is isa it it's its just keep keeping know later leave leaving let like loan loans
long lower lump make makes making many market me money month monthly mortgage much my need needed
needs nominal now of off ok okay on once only our over paid pay paying payment payments pays per
percent period please portfolio pot power price prices principal purchasing put puts putting
quadruple rate rates ratio reach reaching regular regularly repaid repay required result return
returns rise rises rising roth roughly same save saved saves saving savings say saying second set
shall share shares so some start started starting starts steady stock stocks sum suppose take takes
target tell than thanks that the their them then there these they this through time to today total
triple turn turned two units until up us value versus vs want wanted was way we we'd week were what
what's when while will with without work worth would year yearly years you your
"""
_PLAIN = frozenset(_WORDS.split())


def is_plain(text: str) -> bool:
    """Whether nearly all words belong to a sum: more may be strange when the question asks for a number.

    `text` has its quantities tagged.
    """
    words = re.findall(r"[a-z][a-z']+", re.sub(r"<\w+>", " ", text))
    strange = sum(word not in _PLAIN for word in words)
    return strange <= (5 if _CUE.search(text) else 1)
