"""A site of some hundred pages in the shapes that the web has, with the words that each page is about.

Ten kinds of page (a news article, a blog, an authority's page with tables, an old page of nested tables, questions
and answers, lists, a press release, a glossary, a page in Windows-1252, a page under a cookie banner), PDFs, an RSS
and an Atom feed, and a sitemap index with a gzipped part.
"""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from reportlab.pdfgen.canvas import Canvas

from tests.doubles.site import Page

_THINGS = (
    "index fund", "bond fund", "savings account", "share", "government bond", "money market fund", "pension plan",
    "balanced portfolio", "dividend fund", "broker account", "treasury bill", "green bond", "property fund",
)  # fmt: skip
_PLACES = [
    "Avalon",
    "Brightwater",
    "Caldera",
    "Dunmore",
    "Eastmark",
    "Fairhaven",
    "Glenford",
    "Harrow",
    "Inverness",
    "Jarrow",
    "Kestrel",
    "Lowell",
]
_SAYINGS = (
    "The {thing} of {place} costs {a} percent a year, and the cost is taken from its value a little every day.",
    "Whoever keeps the {thing} for {n} years should expect that its price falls by a third at least once.",
    "In {year} the authority of {place} counted {n} complaints about the {thing}, most of them about its fees.",
    "A {thing} pays out what it has earned on the first working day of the month that follows the report.",
    "Before you buy a {thing}, read on which page its prospectus names the risks that you take.",
    "Inflation of {a} percent leaves less of the return of a {thing} than most savers in {place} believe.",
    "The rate of {place} was {a} percent in {year}, which is {b} points more than it was in the year before.",
    "With {n} euros a month in a {thing}, the sum after ten years depends more on the fees than on luck.",
    "Nobody can tell whether the {thing} will rise, but its costs can be compared on the same day.",
    "If the company behind the {thing} fails, a scheme in {place} pays back up to {n}000 euros of deposits.",
)


@dataclass
class Library:
    """`words` are the main text of each HTML page, without its navigation, banners and imprint."""

    pages: dict[str, Page] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)


def library(address: str, *, pages: int = 200, pdfs: int = 12, seed: int = 1) -> Library:
    """A library to be served at `address`; the same seed gives the same one."""
    made = Library()
    for number in range(pages):
        write_page(made, number, seed)
    for number in range(pdfs):
        made.pages[f"/papers/{number}.pdf"] = Page(_pdf(random.Random(seed * 7919 + number)))
    write_listings(made, address)
    return made


def write_page(made: Library, number: int, seed: int) -> str:
    """Write page `number` (again, when the seed is another one); returns its path."""
    shape = _SHAPES[number % len(_SHAPES)]
    path = f"/{shape.__name__.strip('_')}/{number}.html"
    rng = random.Random(seed * 104_729 + number)
    title = f"{rng.choice(_PLACES)} and its {rng.choice(_THINGS)}s, part {number}"
    parts = [_sentences(rng, 2) for _ in range(rng.randint(2, 4))]
    made.pages[path], made.words[path] = shape(title, parts, rng)
    return path


def write_listings(made: Library, address: str) -> None:
    """The sitemaps and feeds of what is there now."""
    paths = [path for path in made.pages if path.endswith((".html", ".pdf"))]
    half = len(paths) // 2
    made.pages["/sitemap-1.xml"] = Page(_urlset(address, paths[:half]))
    made.pages["/sitemap-2.xml.gz"] = Page(gzip.compress(_urlset(address, paths[half:]).encode()))
    places = "".join(
        f"<sitemap><loc>{address}/sitemap-{name}</loc></sitemap>" for name in ("1.xml", "2.xml.gz")
    )
    made.pages["/sitemap.xml"] = Page(f"<?xml version='1.0'?><sitemapindex>{places}</sitemapindex>")
    html = [path for path in paths if path.endswith(".html")]
    items = "".join(
        f"<item><title>{path}</title><link>{path}?utm_source=feed</link><guid>same</guid></item>"
        for path in html[:20]
    )
    made.pages["/feed.xml"] = Page(
        f"<rss version='2.0'><channel><title>F</title>{items}</channel></rss>"
    )
    entries = "".join(
        f"<entry><title>{path}</title><link href='{path}'/></entry>" for path in html[20:40]
    )
    made.pages["/atom.xml"] = Page(
        f"<feed xmlns='http://www.w3.org/2005/Atom'><title>A</title>{entries}</feed>"
    )


def _urlset(address: str, paths: list[str]) -> str:
    places = "".join(
        f"<url><loc>{address}{path}</loc><lastmod>2020-01-01</lastmod></url>" for path in paths
    )
    return f"<?xml version='1.0'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>{places}</urlset>"


def _sentences(rng: random.Random, count: int) -> list[str]:
    return [
        saying.format(
            thing=rng.choice(_THINGS), place=rng.choice(_PLACES), year=rng.randint(1995, 2025),
            a=f"{rng.uniform(0.05, 9):.2f}", b=f"{rng.uniform(0.1, 3):.1f}", n=rng.randint(2, 99),
        )
        for saying in rng.sample(_SAYINGS, count)
    ]  # fmt: skip


_MENU = (
    "<ul>" + "".join(f"<li><a href='/m/{n}'>Menu entry {n}</a></li>" for n in range(12)) + "</ul>"
)
_FOOT = (
    "<footer><p>© 2025 The Site. All rights reserved.</p><a href='/imprint'>Imprint</a> <a href='/privacy'>Privacy"
    "</a><form><label>Newsletter</label><input name='mail'><button>Subscribe now</button></form></footer>"
)


def _plain(title: str, parts: list[list[str]]) -> str:
    return "\n".join([title, *(" ".join(part) for part in parts)])


def _paragraphs(parts: list[list[str]]) -> str:
    return "".join(f"<p>{' '.join(part)}</p>" for part in parts)


def _page(title: str, body: str, head: str = "", charset: str = "utf-8") -> Page:
    html = (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='{charset}'><title>{title} | The Site</title>{head}"
        f"<script>var a = 'tracking';</script><style>p {{color: red}}</style></head><body>{body}</body></html>"
    )
    return Page(html.encode(charset), headers={"Content-Type": "text/html"})


def _news(title: str, parts: list[list[str]], rng: random.Random) -> tuple[Page, str]:
    head = (
        f"<meta property='article:published_time' content='2024-0{rng.randint(1, 9)}-12T08:00:00Z'>"
    )
    body = (
        f"<header><nav>{_MENU}</nav></header><main><article><h1>{title}</h1><div class='share'><a>Share</a></div>"
        f"{_paragraphs(parts)}</article><aside><h3>Most read</h3>{_MENU}</aside></main>{_FOOT}"
    )
    return _page(title, body, head), _plain(title, parts)


def _blog(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    body = (
        f"<div id='masthead'>{_MENU}</div><div id='content'><div class='post hentry'><h2 class='entry-title'>{title}</h2>"
        f"<div class='entry-content'>{_paragraphs(parts)}</div><div class='entry-meta'>Posted in <a>Money</a></div></div>"
        f"<div id='comments'><h3>2 comments</h3><p>Great post, thanks a lot!</p><p>First!</p></div></div>"
        f"<div class='sidebar widget-area'>{_MENU}</div>{_FOOT}"
    )
    return _page(title, body), _plain(title, parts)


def _authority(title: str, parts: list[list[str]], rng: random.Random) -> tuple[Page, str]:
    rows = [(rng.choice(_PLACES), f"{rng.uniform(0, 9):.2f}") for _ in range(5)]
    table = "".join(f"<tr><td>{place}</td><td>{rate} percent</td></tr>" for place, rate in rows)
    table = f"<table><thead><tr><th>Place</th><th>Yearly rate</th></tr></thead><tbody>{table}</tbody></table>"
    body = (
        f"<div class='breadcrumb'><a>Home</a> &gt; <a>Investors</a></div><nav>{_MENU}</nav><main id='main'><h1>{title}</h1>"
        f"{_paragraphs(parts[:2])}<h2>Rates</h2>{table}<h2>What it means</h2>{_paragraphs(parts[2:])}</main>{_FOOT}"
    )
    said = "\n".join(f"{place} {rate} percent" for place, rate in rows)
    return _page(
        title, body
    ), f"{_plain(title, parts)}\nRates\nPlace Yearly rate\n{said}\nWhat it means"


def _nested(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    links = "".join(
        f"<tr><td><a href='/{n}'><font size=1>Link {n}</font></a></td></tr>" for n in range(10)
    )
    text = "".join(f"<font face=Arial>{' '.join(part)}</font><br><br>" for part in parts)
    body = (
        f"<table width=760><tr><td width=150><table>{links}</table></td><td><table><tr><td><b>{title}</b></td></tr>"
        f"<tr><td>{text}</td></tr></table></td></tr></table><center><font size=1>Webmaster</font></center>"
    )
    return _page(title, body), _plain(title, parts)


def _questions(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    asked = [f"What should I know about point {number}?" for number in range(1, len(parts) + 1)]
    blocks = "".join(
        f"<section><h3>{question}</h3><div><p>{' '.join(part)}</p></div></section>"
        for question, part in zip(asked, parts, strict=True)
    )
    body = f"<nav>{_MENU}</nav><main><h1>{title}</h1>{blocks}</main>{_FOOT}"
    return _page(title, body), "\n".join([_plain(title, parts), *asked])


def _lists(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    items = "".join(f"<li><span>{' '.join(part)}</span></li>" for part in parts[1:])
    body = (
        f"<nav>{_MENU}</nav><article><h1>{title}</h1><p>{' '.join(parts[0])}</p><ul>{items}</ul></article>"
        f"<div class='related'><h4>Related</h4>{_MENU}</div>{_FOOT}"
    )
    return _page(title, body), _plain(title, parts)


def _press(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    body = (
        f"<div class='header'>{_MENU}</div><div class='content'><p class='date'>12 September 2024</p><h1>{title}</h1>"
        f"{_paragraphs(parts)}</div><div class='contact'><h3>Media contact</h3><p>Press office, +49 69 0000</p></div>{_FOOT}"
    )
    return _page(title, body), _plain(title, parts)


def _glossary(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    terms = [f"Term {chr(65 + number)}" for number in range(len(parts))]
    entries = "".join(
        f"<dt>{term}</dt><dd>{' '.join(part)}</dd>" for term, part in zip(terms, parts, strict=True)
    )
    body = f"<nav>{_MENU}</nav><main><h1>{title}</h1><dl>{entries}</dl></main>{_FOOT}"
    return _page(title, body), "\n".join([_plain(title, parts), *terms])


def _windows(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    parts = [
        [*part, "The café’s “fund” costs 5 € – a crème brûlée."] for part in parts[:1]
    ] + parts[1:]
    body = (
        f"<div id=nav>{_MENU}</div><div id=text><h1>{title}</h1>{_paragraphs(parts)}</div>{_FOOT}"
    )
    return _page(title, body, charset="windows-1252"), _plain(title, parts)


def _banner(title: str, parts: list[list[str]], _: random.Random) -> tuple[Page, str]:
    body = (
        "<div id='cookie-banner' role='dialog'><p>We use cookies to give you the best experience. By going on you accept "
        f"all cookies.</p><button>Accept all</button></div><nav>{_MENU}</nav><main><h1>{title}</h1>{_paragraphs(parts)}"
        f"</main>{_FOOT}"
    )
    return _page(title, body), _plain(title, parts)


_SHAPES: tuple[Callable[[str, list[list[str]], random.Random], tuple[Page, str]], ...] = (
    _news, _blog, _authority, _nested, _questions, _lists, _press, _glossary, _windows, _banner,
)  # fmt: skip


def _pdf(rng: random.Random) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    for _ in range(2):
        for row, line in enumerate(line for _ in range(4) for line in _sentences(rng, 3)):
            canvas.setFont("Helvetica", 9)
            canvas.drawString(50, 780 - 14 * row, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()
