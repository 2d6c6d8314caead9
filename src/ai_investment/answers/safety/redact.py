"""Personal data in a message: found, checked by its check digits where it has some, and replaced.

Runs in the API before anything is stored. What is removed is named in its place, so that the question
around it still reads. Plain numbers of money, years and percentages stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module

import msgspec
from stdnum import iban, luhn
from stdnum.exceptions import ValidationError


class Redacted(msgspec.Struct, frozen=True):
    """`text` without what was found; `kinds` names it, in order of appearance."""

    text: str
    kinds: list[str]


def redact(text: str) -> Redacted:
    """The text with personal data replaced by `[… removed]`."""
    found = sorted(_spans(text), key=lambda span: (span[0], -span[1]))
    pieces: list[str] = []
    kinds: list[str] = []
    done = 0
    for start, end, kind in found:
        if end <= done:
            continue
        pieces += [text[done : max(start, done)], f"[{kind} removed]"]
        kinds.append(kind)
        done = end
    pieces.append(text[done:])
    return Redacted("".join(pieces), list(dict.fromkeys(kinds)))


Span = tuple[int, int, str]
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def _spans(text: str) -> Iterator[Span]:
    # Digits of other scripts and full-width ones count as digits: one character for one.
    plain = "".join(_ascii(letter) for letter in text)
    yield from _secrets(plain)
    yield from _contacts(plain)
    if any(letter.isdigit() for letter in plain):
        yield from _numbers(plain)
        yield from _named_numbers(plain)
        yield from _phones(plain)
    yield from _seed_phrases(plain)


def _ascii(letter: str) -> str:
    if letter.isdigit() and not letter.isascii():
        try:
            return str(int(letter))
        except ValueError:
            return letter
    return (
        "-"
        if letter in "‐‑‒–—−"
        else " "
        if letter in "\u00a0\u202f\u2009" or _INVISIBLE.match(letter)
        else letter
    )


# --- numbers that prove themselves ---

_CARD = re.compile(r"(?<![\d.,€$£])(?<!\d[ -])[2-6]\d{3}(?:[ .-]?\d){8,15}(?![\d])(?! ?%)")
# Written in fours it is meant as a card number, also with a slip of a digit.
_GROUPED_CARD = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_SSN = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}([- ])(?!00)\d{2}\1(?!0000)\d{4}(?![\d-])")
# Form, module of python-stdnum, what it is called. Only forms that money and dates do not have.
_IDS: list[tuple[re.Pattern[str], str, str]] = [
    (re.compile(r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"), "br.cpf", "ID number"),
    (re.compile(r"(?<![\w])[A-Za-z]{6}\d{2}[A-Za-z]\d{2}[A-Za-z]\d{3}[A-Za-z](?!\w)"), "it.codicefiscale", "ID number"),
    (re.compile(r"(?<!\w)\d{8}-?[A-Za-z](?!\w)"), "es.dni", "ID number"),
    (re.compile(r"(?<!\w)[XYZxyz]-?\d{7}-?[A-Za-z](?!\w)"), "es.nie", "ID number"),
    (re.compile(r"(?<!\d)\d{17}[\dXx](?!\w)"), "cn.ric", "ID number"),
    (re.compile(r"(?<!\d)[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}(?!\d)"), "in_.aadhaar", "ID number"),
    (re.compile(r"(?<!\d)[12378] ?\d{2} ?\d{2} ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}(?!\d)"), "fr.nir", "ID number"),
    (re.compile(r"(?<!\w)[A-Za-z]{5}\d{4}[A-Za-z](?!\w)"), "in_.pan", "ID number"),
    (re.compile(r"(?<!\d)\d{11}(?!\d)"), "pl.pesel", "ID number"),
    (re.compile(r"(?<!\d)[1-9]\d{10}(?!\d)"), "tr.tckimlik", "ID number"),
    (re.compile(r"(?<!\d)\d{3} \d{3} \d{4}(?!\d)"), "gb.nhs", "ID number"),
    (re.compile(r"(?<!\d)\d{3}[ -]\d{3}[ -]\d{3}(?!\d)"), "ca.sin", "ID number"),
    (re.compile(r"(?<!\d)(?:19|20)?\d{6}[-+]\d{4}(?!\d)"), "se.personnummer", "ID number"),
    (re.compile(r"(?<!\d)756\.\d{4}\.\d{4}\.\d{2}(?!\d)"), "ch.ssn", "ID number"),
]  # fmt: skip
_NINO = re.compile(
    r"(?<!\w)[A-CEGHJ-PR-TW-Za-ceghj-pr-tw-zQq][A-Za-z] ?\d{2} ?\d{2} ?\d{2} ?[A-Da-d](?!\w)"
)


def _numbers(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        if span := _valid_iban(match):
            yield span
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        table = re.match(r"[ -]?\d{4}", text[match.end() :])
        if (len(digits) > 12 and luhn.is_valid(digits)) or (
            _GROUPED_CARD.fullmatch(match[0]) and not table
        ):
            yield match.start(), match.end(), "card number"
    for match in _SSN.finditer(text):
        yield match.start(), match.end(), "ID number"
    for match in _NINO.finditer(text):
        yield match.start(), match.end(), "ID number"
    for form, module, kind in _IDS:
        for match in form.finditer(text):
            if _check(module)(match[0]):
                yield match.start(), match.end(), kind


def _valid_iban(match: re.Match[str]) -> Span | None:
    """The longest beginning of the match that is an IBAN: words may follow without a sign between."""
    letters = match[0]
    for end in range(len(letters), 14, -1):
        candidate = letters[:end]
        if candidate[-1].isalnum() and 15 <= len(re.sub(r"\W", "", candidate)) <= 34:
            try:
                iban.validate(candidate)
            except ValidationError:
                continue
            return match.start(), match.start() + end, "IBAN"
    return None


@cache
def _check(module: str) -> Callable[[str], bool]:
    return import_module(f"stdnum.{module}").is_valid  # type: ignore[no-any-return]


# --- numbers that are named for what they are ---

_OWN = r"(?:[^\S\n]|[:=#№\"'“(-]|\b(?:is|ist|est|es|e|é|è|nr|no|num|number|nummer|numara\w*|numero|número|numéro|lautet|il|are|to|below|here|under|von|in|the|el|la|le|my|in|card|account|code|id|ends?|with|jest|hai|है|是|は|号码|號碼|番号|नंबर|رقم)\b\.?|は|是|为|為|：|のは|:)"  # fmt: skip
_NAMED = (
    ("card number", r"(?:(?:credit|debit|bank|visa|amex|mastercard|master)? ?card(?: number| no)?|visa|mastercard|amex|kreditkarte\w*|karten(?:nummer|nr)|carte(?: bancaire| bleue)?|tarjeta|carta di credito|cart[aã]o|creditcard|karta|kart|карт\w*|信用卡|卡号|カード番号|कार्ड)", r"\d(?:[ .-]?\d){11,18}"),
    ("security code", r"(?:cvv2?|cvc2?|csc|security code|prüfziffer|cryptogramme|pin(?:[ -]?code)?|otp|one[- ]time (?:code|password)|tan|verification code|código de seguridad|2fa code)", r"\d{3,8}"),
    ("ID number", r"(?:ssn|social security(?: number)?|social|sin|social insurance(?: number)?|tin|itin|tax (?:id|number|file number)|tfn|national (?:id|insurance)(?: number)?|nino?|nhs(?: number)?|medicare(?: number)?|passport(?: number| no)?|reisepass\w*|passeport|pasaporte|passaporto|passaporte|paspoort\w*|paszport\w*|pasaport\w*|паспорт\w*|driver'?s? licen[cs]e(?: number)?|driving licen[cs]e(?: number)?|licen[cs]e number|führerschein\w*|personalausweis\w*|ausweis\w*|steuer-?(?:id|nummer|identifikationsnummer)|identity card|id card|id number|citizen id|carte d'identité|numéro de sécu\w*(?: sociale)?|sécu|dni|nie|nif|cédula|curp|rfc|codice fiscale|carta d'identità|cpf|rg|nis|bsn|burgerservicenummer|sofinummer|pesel|dow[oó]d\w*|tc kimlik\w*|kimlik\w*|t\.?c\.?|aadhaar|aadhar|आधार|pan(?: card)?|voter id|身份证(?:号|号码)?|身份證(?:號|號碼)?|护照(?:号)?|マイナンバー|個人番号|パスポート|주민등록번호|주민번호|снилс|инн|henkilötunnus|personnummer|fødselsnummer|cpr|employee id|student id|matriculation number|هوية|رقم الهوية|الرقم القومي|student number)", r"[A-Za-z]{0,4}[-/]?\d(?:[ ./-]?[A-Za-z0-9](?![a-z]{2})){3,17}"),
    ("account number", r"(?:(?:bank |brokerage |checking |savings |trading )?(?:account|acct|acc)(?: number| no| nr| #)?|sort ?code|routing(?: number)?|aba|bsb|swift|bic|iban|kontonummer|konto|blz|bankleitzahl|compte|cuenta|clabe|conto|conta|ag[eê]ncia|rekening(?:nummer)?|rachun\w*|konta|hesap|счет\w*|счёт\w*|账号|帳號|银行卡号?|口座(?:番号)?|खाता|حساب|depot ?(?:nummer|nr)|customer (?:number|id)|kundennummer|policy number|ifsc)", r"(?=[A-Za-z0-9 -]*\d{2})(?:[A-Z]{2,4})?\d(?:[ -]?[A-Z0-9]){4,29}"),
    ("phone number", r"(?:call|phone|tel|telephone|mobile|cell|whatsapp|text|sms|reach|contact|number|handy\w*|telefon\w*|rufnummer|ruf|anrufen|téléphone|portable|numéro|appel\w*|móvil|movil|teléfono|celular|cellulare|telefono|telemóvel|telemovel|telefone|mobiel|telefoonnummer|bel|komórk\w*|numer|cep|телефон\w*|номер\w*|звони\w*|电话|電話(?:番号)?|手机(?:号)?|手機|फोन|मोबाइल|هاتف\w*|رقمي|جوال\w*|전화\w*|휴대폰)(?: me| us| him| her)?(?: on| at)?", r"\+?\(?\d(?:[ ()./-]{0,2}\d){6,14}"),
    ("date of birth", r"(?:born(?: on| in)?|date of birth|dob|d\.o\.b\.|birth ?date|birthday|geboren(?: am)?|geburtsdatum|née? le|date de naissance|nac[ií](?: el)?|fecha de nacimiento|nat[oa] il|nascid[oa] em|data de nascimento|geboren op|urodzon\w*|doğum tarihi\w*)", r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}|\d{1,2}(?:st|nd|rd|th|\.)? (?:of |de )?[A-Za-zéûäçćñ]{3,10}\.?,? (?:de )?\d{4}|[A-Za-z]{3,10}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{4})"),
)  # fmt: skip


@cache
def _named() -> list[tuple[str, re.Pattern[str]]]:
    return [
        (kind, re.compile(rf"(?<![A-Za-z])(?:{names})(?:{_OWN}){{0,8}}?\s?({value})(?!\w)(?! ?[%€$£])", re.IGNORECASE))
        for kind, names, value in _NAMED
    ]  # fmt: skip


_YEAR = re.compile(r"(?:19|20)\d\d(?:[ -]+(?:19|20)\d\d)*$")


def _named_numbers(text: str) -> Iterator[Span]:
    for kind, pattern in _named():
        for match in pattern.finditer(text):
            if not _YEAR.match(match[1].strip()) or kind == "security code":
                yield match.start(1), match.end(1), kind


_PHONE_FORMS = re.compile(
    r"(?<![\d.,$€£/-])(?:\(\d{3}\) ?\d{3}[-. ]\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0\d{1,3}[ -/]\d{3,4}[ -]\d{4}"
    r"|07\d{3} ?\d{3} ?\d{3}|0[1-9](?:[ .-]\d{2}){4}|1[3-9]\d{9}|0\d{1,4}-\d{1,4}-\d{4}|0\d{2,4}[ /-]\d{5,8})(?![\d%])"
)
_ENOUGH_DIGITS = re.compile(r"(?:\d\D{0,3}){7}")


def _phones(text: str) -> Iterator[Span]:
    for match in _PHONE_FORMS.finditer(text):
        yield match.start(), match.end(), "phone number"
    if "+" not in text or not _ENOUGH_DIGITS.search(text):
        return
    from phonenumbers import Leniency, PhoneNumberMatcher  # loaded when a message may need it

    for found in PhoneNumberMatcher(text, None, Leniency.POSSIBLE):
        yield found.start, found.end, "phone number"


# --- words ---

_EMAIL = re.compile(r"[\w.+'-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}")
_SPELLED_EMAIL = re.compile(r"\b[\w.+-]{2,40} ?[\[(]? ?at ?[\])]? ?(?:gmail|yahoo|hotmail|outlook|icloud|proton(?:mail)?|gmx|web|aol) ?[\[(]? ?(?:dot|\.) ?[\])]? ?(?:com|net|de|org|me|co|uk|fr|es|it)\b", re.IGNORECASE)  # fmt: skip
_STREET = re.compile(
    r"\b\d{1,5}[A-Za-z]?(?:,? (?:[A-Z0-9][\w'.-]*)){1,4}?,? (?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Sq|Terrace|Close|Crescent|Parkway|Highway|Hwy|Row|Gardens|Grove|Circle|Trail)\b\.?(?: (?:NW|NE|SW|SE|N|S|E|W))?(?:,? (?:apt|apartment|unit|flat|suite|#)\.? ?\w+)?(?:,? [A-Z][A-Za-z. ]{1,25})?(?:,? [A-Z]{2})?,?(?: \d{5}(?:-\d{4})?| [A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})?"
    r"|\b[A-ZÄÖÜ][\wäöüß.-]*(?:straße|strasse|str\.|gasse|platz|allee|weg|straat|laan|gata|gatan|vej)(?: )\d{1,4}[a-z]?(?:,? \d{4,5} [A-ZÄÖÜ][\wäöüß-]+)?"
    r"|\b\d{0,4},? ?(?:rue|avenue|boulevard|bd|place|impasse|chemin|allée) (?:de |du |des |la |le |l'|d')*[A-ZÉÀ][\w'éèàç-]+(?: [\w'éèàç-]+){0,3},? ?\d{5}(?: [A-ZÉ][\w-]+)?|\b\d{1,4},? (?:bis )?(?:rue|boulevard|impasse) (?:de |du |des |la |le |l'|d')*[A-ZÉÀ][\w'éèàç-]+"
    r"|\b(?:calle|avenida|avda\.?|via|viale|piazza|rua|ulica|ul\.) (?:de |del |della |da |do |dos )*[A-ZÁÉ][\w'áéíóúñãç-]+(?: [A-ZÁÉ]?[\w'áéíóúñãç-]+){0,2},? (?:n[º°.]? ?)?\d{1,4}\b(?:,? \d{4,5}(?: [A-Z]\w+)?)?"
    r"|\b[A-Z]{1,2}\d[A-Z\d]? \d[ABD-HJLNP-UW-Z]{2}\b",
    re.IGNORECASE,
)
_LIVE = re.compile(r"(?:\bi live (?:at|in)|my (?:home )?address is|\baddress ?[:=]|ich wohne (?:in|am|an der)|meine adresse ist|j'habite(?: au)?|mon adresse est|vivo en(?: la)?|mi dirección es|abito in|moro na|ik woon (?:in|op|aan)) ?([^.?!\n]{0,80}\d[^.?!\n]{0,40})", re.IGNORECASE)  # fmt: skip
_WALL_STREET = re.compile(r"wall st", re.IGNORECASE)
_NAME = re.compile(r"(?:(?i:my (?:full |real |legal )?name is|my name'?s|ich heiße|mein name ist|je m'appelle|me llamo|mi chiamo|meu nome é|mijn naam is|nazywam się)|(?:\b[Ii]'?m|\b[Ii] am)(?= [A-Z][a-z]+ [A-Z][a-z]+,)) ([A-ZÀ-Þ][\w'’-]+(?: [A-ZÀ-Þ][\w'’-]+){1,3})")  # fmt: skip


def _contacts(text: str) -> Iterator[Span]:
    for pattern, kind in ((_EMAIL, "e-mail address"), (_SPELLED_EMAIL, "e-mail address")):
        for match in pattern.finditer(text):
            yield match.start(), match.end(), kind
    for match in _STREET.finditer(text):
        if not _WALL_STREET.search(match[0]):
            yield match.start(), match.end(), "address"
    for match in _LIVE.finditer(text):
        if not re.match(r"(?:a|the|my)?\b.*\b(?:years?|months?|days?)\b", match[1]) and re.search(
            r"[A-Za-z]{3}", match[1]
        ):
            at = re.search(r"\d[\w/-]*(?: \w+)?", match[1])
            assert at is not None
            yield match.start(1), match.start(1) + at.end(), "address"
    for match in _NAME.finditer(text):
        yield match.start(1), match.end(1), "name"


_PASSWORD = re.compile(
    r"(?:pass ?word|pass ?code|pass ?phrase|passwd|pwd|passwort|kennwort|mot de passe|mdp|contraseñ\w+|contrasena|senha|wachtwoord|hasł\w+|haslo|şifre\w*|sifre\w*|parol[ae]\w*|парол\w+|密码|密碼|パスワード|暗証番号|पासवर्ड|كلمة (?:المرور|السر)|비밀번호|\bpw|\bpass|\blogin|\buser ?name|\bpin)"
    r"\s*(?:[:=/]|(?:\s|^)(?:is|ist|lautet|est|es|é|è|to|jest|была|это)(?:\s|$|:)|是|は|:|है|هي)\s*[\"'“‘(]?([^\s\"'”’),;]{3,64})",
    re.IGNORECASE,
)
_MINE = re.compile(r"\b(?:my|mine|our|mein\w*|mon|mi|mio|la mia|minha|mijn|moje|mojego|moja|şifrem|sifrem|мой|我的|私の|मेरा|here|this|the|his|her|mums?|moms?|dads?)\b|şifrem|我的|私の|मेरा", re.IGNORECASE)  # fmt: skip
_NOT_A_SECRET = frozenset(
    [
        "not",
        "too",
        "a",
        "an",
        "the",
        "so",
        "very",
        "safe",
        "weak",
        "strong",
        "stolen",
        "hacked",
        "leaked",
        "lost",
        "wrong",
        "important",
        "necessary",
        "needed",
        "called",
        "what",
        "which",
        "that",
        "this",
        "something",
        "better",
        "enough",
        "secure",
        "in",
        "on",
        "at",
        "to",
        "for",
        "gone",
        "old",
        "incorrect",
        "sicher",
        "zu",
        "nicht",
        "ein",
        "eine",
        "falsch",
        "gestohlen",
        "pas",
        "trop",
        "un",
        "une",
        "mal",
        "no",
        "muy",
        "una",
        "segura",
        "seguro",
    ]
)
_KEYS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]{0,4000}?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|\b(?:sk|pk|rk)[-_](?:live[-_]|test[-_]|proj[-_]|ant[-_]|or[-_])?[A-Za-z0-9_-]{16,200}"
    r"|\b(?:ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abprs]|npm|pypi|hf|shpat|dop_v1|AGE-SECRET-KEY)[-_][A-Za-z0-9_-]{12,200}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,16}[A-Z0-9]*\b|\bAIza[\w-]{30,40}|\bya29\.[\w-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|\b[5KL][1-9A-HJ-NP-Za-km-z]{50,51}\b|\b(?:xprv|xpub)[1-9A-HJ-NP-Za-km-z]{100,112}\b"
    r"|\b(?:0x)?[0-9a-fA-F]{64}\b",
)
_WALLET = re.compile(
    r"\bbc1[02-9ac-hj-np-z]{11,71}\b|\b0x[0-9a-fA-F]{40}\b|\b[13][1-9A-HJ-NP-Za-km-z]{25,34}\b|\b[LM][1-9A-HJ-NP-Za-km-z]{26,33}\b|\bT[1-9A-HJ-NP-Za-km-z]{33}\b"
)
_TOKEN = re.compile(r"(?:api[ _-]?key|secret(?: key)?|access[ _-]?token|token|bearer|auth key|private key|client secret)\s*(?:is|:|=|\s)\s*[\"']?([A-Za-z0-9_\-+/=.]{12,200})", re.IGNORECASE)  # fmt: skip


def _secrets(text: str) -> Iterator[Span]:
    for match in _PASSWORD.finditer(text):
        value = match[1].rstrip(".!?")
        separated = re.search(r"[:=/]\s*[\"'“‘(]?$", text[match.start() : match.start(1)])
        mine = _MINE.search(text[max(0, match.start() - 25) : match.start(1)])
        odd = re.search(r"\d|[^\w\s]|[a-z][A-Z]", value)
        if value.casefold() not in _NOT_A_SECRET and (separated or mine or odd):
            yield match.start(1), match.start(1) + len(value), "password"
    for match in _KEYS.finditer(text):
        yield match.start(), match.end(), "secret key"
    for match in _TOKEN.finditer(text):
        if re.search(r"\d", match[1]) and re.search(r"[A-Za-z]", match[1]):
            yield match.start(1), match.end(1), "secret key"
    for match in _WALLET.finditer(text):
        if re.search(r"\d", match[0]) and re.search(r"[A-Za-z]", match[0]):
            yield match.start(), match.end(), "wallet address"


_PHRASE = re.compile(r"(?:\b(?:\d{1,2}[.)] ?)?[a-z]{3,8}\b[\s,;.]*){12,24}", re.IGNORECASE)
_NAMED_PHRASE = re.compile(r"(?:seed|recovery|backup|mnemonic|secret)(?: ?phrase| ?words)?\s*(?:is|are|:|=|-)\s*((?:[a-z]{3,8}[\s,;]+){5,23}[a-z]{3,8})", re.IGNORECASE)  # fmt: skip


def _seed_phrases(text: str) -> Iterator[Span]:
    for match in _NAMED_PHRASE.finditer(text):
        words = match[1].casefold().split()
        if sum(word.strip(",;") in _bip39() for word in words) >= 5:
            yield match.start(1), match.end(1), "seed phrase"
    if not _PHRASE.search(text):
        return
    run: list[re.Match[str]] = []
    for word in [*re.finditer(r"[A-Za-z]+|[^\s\dA-Za-z,;.)]", text), None]:
        if word is not None and word[0].casefold() in _bip39():
            run.append(word)
            continue
        if len(run) >= 12:
            yield run[0].start(), run[-1].end(), "seed phrase"
        run = []


@cache
def _bip39() -> frozenset[str]:
    from mnemonic import Mnemonic  # 2,048 words, loaded when a message may need them

    return frozenset(Mnemonic("english").wordlist)
