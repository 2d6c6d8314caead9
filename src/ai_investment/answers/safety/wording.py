"""Views of a message in which disguised spellings look like plain ones.

Look-alike letters, invisible characters, full-width forms, accents, digits for letters, spaced-out
letters, chat spellings and small typos of the words that matter are folded before a rule looks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

_INVISIBLE = re.compile(r"[\u00ad\u034f\u061c\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f]")  # fmt: skip
_ACCENT = re.compile(r"[\u0300-\u036f]")
_APOSTROPHE = re.compile(r"(?<=\w)['’‘`´ʼ](?=\w)")
_WORD = re.compile(r"\w+")
# Letters of other scripts that look like Latin ones, after case folding.
_LOOK_ALIKES = str.maketrans(
    "асԁеһіјӏкмոоԛргѕтհυѵвնԝхуᴢɑɡıαβεηικνορτυχωγ",
    "acdehijlkmnoqprsthuvbuwxyzagiabenikvoptuxwy",
)
_LIGATURES = str.maketrans("łøđ", "lod", "") | {ord("æ"): "ae", ord("œ"): "oe"}
_FOREIGN = re.compile(r"[Ͱ-Ͽԁԛԝ\u0400-\u04ff\u0530-\u058fɑɡıᴢ]")
_LATIN = re.compile(r"[a-z]")
_LEET = re.compile(r"(?<![\w@$!])(?=[\w@$!|]*[a-z])(?=[\w@$!|]*[0-9@$!|])[a-z0-9@$!|]{2,}")
_LEET_I = str.maketrans("01345789@$!|", "oieastbgasii")
_LEET_L = str.maketrans("01345789@$!|", "oleastbgasil")
_SPACED = re.compile(r"(?<!\w)(?:\w[\W_]{1,3}){3,}\w(?!\w)")
_CHAT = {
    "u": "you", "ur": "your", "r": "are", "wanna": "want to", "gonna": "going to", "gotta": "have to",
    "2": "to", "shud": "should", "shld": "should", "shuld": "should", "shoud": "should", "cud": "could",
    "plz": "please", "pls": "please", "rn": "right now", "abt": "about", "wat": "what", "wut": "what",
    "whats": "what is", "wuts": "what is", "hodl": "hold", "ppl": "people", "thru": "through", "def": "definitely",
    "dnt": "dont", "cnt": "cant", "no1": "no one", "noone": "no one", "any1": "anyone", "wnt": "want", "kil": "kill",
    "myslf": "myself", "mysefl": "myself", "byu": "buy", "bui": "buy", "prolly": "probably", "imma": "im going to",
    "ima": "im going to", "tryna": "trying to", "lemme": "let me", "gimme": "give me", "dunno": "dont know",
}  # fmt: skip
# Words worth recognising with one letter wrong, missing, doubled or swapped.
_KEYWORDS = (
    "suicide", "suicidal", "myself", "overdose", "blackmail", "blackmailing", "should", "invest",
    "investing", "recommend", "portfolio", "shares", "stocks", "bitcoin", "ignore", "instructions",
    "previous", "system", "prompt", "disregard", "forget", "restrictions", "guidelines", "gambling",
    "worthless", "disappear", "anymore", "cutting", "jailbreak", "launder", "guaranteed", "dividend",
)  # fmt: skip


def views(text: str) -> list[str]:
    """The text folded, then folded further where it was disguised; rules look at each."""
    plain = fold(text)
    spelled = [plain]
    for table in (_LEET_I, _LEET_L):
        spelled.append(_LEET.sub(lambda match: match[0].translate(table), plain))  # noqa: B023, PERF401
    found = [tidy(view) for view in spelled]
    for view in dict.fromkeys(spelled):
        if joined := _join_spaced(view):
            found += [tidy(joined), joined.replace(" ", "")]
    return list(dict.fromkeys(found))


def fold(text: str) -> str:
    """Case, width, accents, apostrophes and look-alike letters folded; the script stays readable."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKD", text).casefold())
    text = unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))
    text = text.translate(_LIGATURES)
    text = _APOSTROPHE.sub("", text)
    if _FOREIGN.search(text) and _LATIN.search(text):
        text = _unmask(text)
    return text


def _unmask(text: str) -> str:
    """Words that mix scripts, and their neighbours made of look-alikes only, in Latin letters."""
    mixed = any(_LATIN.search(word) and _FOREIGN.search(word) for word in _WORD.findall(text))

    def latin(match: re.Match[str]) -> str:
        word = match[0]
        plain = word.translate(_LOOK_ALIKES)
        disguised = bool(_LATIN.search(word)) or (mixed and not _FOREIGN.search(plain))
        return plain if disguised else word

    return _WORD.sub(latin, text)


def tidy(text: str) -> str:
    """Chat spellings and typos of the words that matter written out; `im`, `dont` in one form."""
    text = re.sub(r"(\w)\1{2,}", r"\1\1", text) if re.search(r"([a-z])\1{2,}", text) else text
    text = _WORD.sub(lambda match: _word(match[0]), text)
    text = re.sub(r"\bi (am|have|will|would)\b", lambda m: _I[m[1]], text)
    text = re.sub(
        r"\b(do|does|did|is|are|was|were|would|should|could|have|has|had) not\b", r"\1nt", text
    )
    return re.sub(r"\bcan ?not\b", "cant", text)


_I = {"am": "im", "have": "ive", "will": "ill", "would": "id"}


def _word(word: str) -> str:
    if word in _CHAT:
        return _CHAT[word]
    if len(word) < 6:
        return word
    known = _near()
    if found := known.get(word):
        return found
    for short in _shorter(word):
        if found := known.get(short):
            return found if abs(len(found) - len(word)) <= 1 and found[0] == word[0] else word
    return word


def _shorter(word: str) -> Iterator[str]:
    return (word[:at] + word[at + 1 :] for at in range(1, len(word)))


@cache
def _near() -> dict[str, str]:
    """Keywords and what is left of them when a letter is dropped."""
    near = {short: word for word in _KEYWORDS for short in _shorter(word) if len(short) >= 6}
    return {**near, **{word: word for word in _KEYWORDS}}


def _join_spaced(text: str) -> str:
    """`k.i.l.l  m y s e l f` as `kill myself`; empty when nothing is spelled like that."""
    if not _SPACED.search(text):
        return ""

    def join(match: re.Match[str]) -> str:
        return " ".join(re.sub(r"[\W_]", "", part) for part in re.split(r"[\W_]{2,3}", match[0]))

    return _SPACED.sub(join, text)
