"""The page at /: nothing remote, nothing inline, no HTML made from text, and small."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from ai_investment.operations.page import _TYPES

_STATIC = files("ai_investment.operations").joinpath("static")
HTML, CSS, JS = (
    _STATIC.joinpath(name).read_text("utf-8") for name in ("index.html", "page.css", "page.js")
)
_REMOTE = re.compile(r"^\s*([a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)
_LOADING = {"src", "href", "srcset", "action", "formaction", "poster", "data", "xlink:href"}


class _Elements(HTMLParser):
    """Every start tag with its attributes, and the text inside scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.inline = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            self.inline += data.strip()


@pytest.fixture(scope="module")
def elements() -> _Elements:
    parser = _Elements()
    parser.feed(HTML)
    parser.close()
    return parser


def test_every_asset_is_one_of_ours(elements: _Elements) -> None:
    addresses = [
        value for _, attributes in elements.tags for name, value in attributes.items()
        if name in _LOADING
    ]  # fmt: skip
    assert [it for it in addresses if _REMOTE.match(it) and not it.startswith("data:image/")] == []
    ours = {it.removeprefix("/static/") for it in addresses if it.startswith("/static/")}
    assert ours == {"page.js", "page.css"}
    assert {item.name for item in _STATIC.iterdir()} == set(_TYPES) == ours | {"index.html"}


def test_style_and_script_load_nothing_from_elsewhere() -> None:
    assert "@import" not in CSS
    targets = re.findall(r"url\(\s*['\"]?([^)'\"]*)", CSS)
    assert [target for target in targets if _REMOTE.match(target)] == []
    assert re.findall(r"^\s*(?:import|export)\b|\bimport\s*[(.]", JS, re.MULTILINE) == []
    assert re.findall(r"[\"'`](?:https?:)?//[\w.-]+", JS) == []
    assert re.findall(r"fetch\((?!`/api/v1)", JS) == []


def test_nothing_is_inline(elements: _Elements) -> None:
    assert elements.inline == ""
    assert all("src" in attributes for tag, attributes in elements.tags if tag == "script")
    names = [name for _, attributes in elements.tags for name in attributes]
    assert [name for name in names if name == "style" or name.startswith("on")] == []
    assert [tag for tag, _ in elements.tags if tag in ("style", "iframe", "object", "embed")] == []
    assert "javascript:" not in HTML.lower()


@pytest.mark.parametrize(
    "name",
    [
        "innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "parseFromString",
        "createContextualFragment", "srcdoc", "document.write", "eval", "Function", "localStorage",
        "cookie",
    ],
)  # fmt: skip
def test_the_script_never_turns_text_into_code_or_keeps_it(name: str) -> None:
    assert re.search(rf"(?<![\w.]){re.escape(name)}\b|\.{re.escape(name)}\b", JS) is None


def test_the_script_finds_every_element_it_names(elements: _Elements) -> None:
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = re.findall(r"byId\(\"([^\"]+)\"\)", JS)
    assert named
    assert set(named) - set(ids) == set()
    assert JS.count("byId(") == len(named)  # no id is put together at run time
    assert JS.count("getElementById") == 1


def test_labels_and_descriptions_point_at_elements(elements: _Elements) -> None:
    ids = {attributes.get("id", "") for _, attributes in elements.tags}
    pointed = [
        target
        for _, attributes in elements.tags
        for name in ("for", "aria-labelledby", "aria-describedby")
        for target in attributes.get(name, "").split()
    ]
    assert set(pointed) <= ids
    fields = {attributes["id"] for tag, attributes in elements.tags if tag in ("input", "textarea")}
    assert fields == {attributes["for"] for tag, attributes in elements.tags if tag == "label"}


def test_links_to_other_sites_tell_them_nothing() -> None:
    assert JS.count('target: "_blank"') == JS.count('rel: "noopener noreferrer"') == 1


@pytest.mark.parametrize(
    ("text", "most_bytes", "most_lines"),
    [(HTML, 6_000, 100), (CSS, 12_000, 200), (JS, 20_000, 300)],
    ids=["html", "css", "js"],
)
def test_it_stays_small(text: str, most_bytes: int, most_lines: int) -> None:
    assert 500 < len(text.encode()) <= most_bytes
    assert len(text.splitlines()) <= most_lines
