"""Sources over HTTP: what they bring, how their runs are told, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.content.sources import added, counted, items, library, synced
from tests.doubles.site import Asked, Page, Site
from tests.installation import Installation, asked

CASES = Path(__file__).parents[1] / "cases"


def article(title: str, *paragraphs: str, head: str = "") -> str:
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f"<html lang='en'><head><title>{title}</title>{head}</head><body><nav><a href='/'>Home</a></nav>"
        f"<article><h1>{title}</h1>{body}</article><footer>Imprint</footer></body></html>"
    )


def words(subject: str, rate: str) -> str:
    return (
        f"The {subject} fund holds shares of many companies, and it is rebalanced by its manager twice in every "
        f"year. Its yearly fee is {rate} percent of the value of the fund, taken a little each day, and you "
        "can sell your units on any day on which the exchange is open for trading."
    )


def sitemap(site: Site, *paths: str) -> str:
    places = "".join(f"<url><loc>{site.url(path)}</loc></url>" for path in paths)
    return f'<?xml version="1.0"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'


def feed(*entries: str) -> str:
    return f'<rss version="2.0"><channel><title>F</title><link>/</link>{"".join(entries)}</channel></rss>'


def test_a_sitemap_is_kept_up_with(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    database = installation.env["DATABASE_URL"]
    site.pages |= {
        f"/s1/{n}": article(f"Fund {n}", words(f"emu{n}", f"0.{n}")) for n in range(1, 4)
    }
    site.pages["/s1/map.xml"] = sitemap(site, "/s1/1", "/s1/2", "/s1/3", "/s1/none")
    source = added(admin, f"map-{installation.port}", "sitemap", site.url("/s1/map.xml"))
    first = synced(admin, source)
    assert counted(first) == {"new": 3, "rejected": 1}
    assert first["reasons"] == {"There is no such page (404).": 1}
    assert first["state"] == "succeeded"
    assert counted(synced(admin, source)) == {"unchanged": 3, "rejected": 1}
    before = library(database, source["id"])
    site.pages["/s1/2"] = article("Fund 2", words("emu2", "0.77"))
    site.pages["/s1/map.xml"] = sitemap(site, "/s1/1", "/s1/2")
    assert counted(synced(admin, source)) == {"unchanged": 1, "changed": 1, "removed": 1}
    after = library(database, source["id"])
    assert set(before) - set(after) == {f"url:{site.url('/s1/3')}"}
    assert after[f"url:{site.url('/s1/1')}"] == before[f"url:{site.url('/s1/1')}"]
    assert after[f"url:{site.url('/s1/2')}"] != before[f"url:{site.url('/s1/2')}"]


def test_a_listing_that_fails_or_is_empty_withdraws_nothing(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    site.pages |= {
        "/s2/a": article("Yak", words("yak", "0.2")),
        "/s2/map.xml": sitemap(site, "/s2/a"),
    }
    source = added(admin, f"fails-{installation.port}", "sitemap", site.url("/s2/map.xml"))
    synced(admin, source)
    for broken in (
        Page(status=500),
        sitemap(site),
        "<html>maintenance</html>",
        Page(b"\x1f\x8b\x08damaged"),
    ):
        site.pages["/s2/map.xml"] = broken
        run = synced(admin, source)
        assert run["state"] == "failed"
        assert run["error"]
        assert len(library(installation.env["DATABASE_URL"], source["id"])) == 1
    [view] = [
        item for item in admin.get("/api/v1/content/sources").json() if item["id"] == source["id"]
    ]
    assert view["failures"] == 4


def test_an_edited_item_of_a_feed_stays_one_document(
    installation: Installation, admin: httpx.Client, api: httpx.Client, site: Site
) -> None:
    """The case feed-edited-title: guid, title and date change, the link does not."""
    case = CASES / "feed-edited-title"
    source = added(
        admin,
        f"edited-{installation.port}",
        "news",
        site.url("/s3/feed.xml"),
        options={"keep_days": 3650},
    )
    for name in ("fetch1.xml", "fetch2.xml"):
        site.pages["/s3/feed.xml"] = (case / name).read_bytes()
        run = synced(admin, source)
    assert counted(run) == {"changed": 1}
    assert len(library(installation.env["DATABASE_URL"], source["id"])) == 1
    [item] = items(installation.env["DATABASE_URL"], source["id"]).values()
    document = admin.get(f"/api/v1/content/{item.document_id}").json()
    assert document["title"] == "Bank raises rate, borrowers alarmed"
    assert "4.50" in document["text"]
    assert document["published_at"] == "2024-05-02T10:30:00Z"
    answer = asked(api, "To what percent did the bank raise its rate?")["result"]
    assert "4.25" not in answer["text"]


def test_a_feed_of_links_brings_their_pages(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    site.pages |= {
        "/s4/a": article("Gnu", words("gnu", "0.31")),
        "/s4/feed.xml": feed(
            "<item><title>Gnu</title><link>a?utm_source=rss</link><pubDate>2024/3/27 18:22:09</pubDate></item>",
            f"<item><title>Gnu again</title><link>{site.url('/s4/a')}</link></item>",
            "<item><title>No page</title><link>/s4/none</link><guid>x</guid></item>",
        ),
    }
    source = added(admin, f"rss-{installation.port}", "rss", site.url("/s4/feed.xml"))
    assert counted(synced(admin, source)) == {"new": 1, "rejected": 1}
    item = items(installation.env["DATABASE_URL"], source["id"])[site.url("/s4/a?utm_source=rss")]
    document = admin.get(f"/api/v1/content/{item.document_id}").json()
    assert document["published_at"] == "2024-03-27T18:22:09Z"
    assert "Its yearly fee is 0.31 percent" in document["text"]
    assert "Imprint" not in document["text"]
    # It leaves the feed, and later its page goes: the document goes with the page.
    site.pages["/s4/feed.xml"] = feed("<item><title>New</title><link>/s4/none</link></item>")
    assert counted(synced(admin, source)) == {"unchanged": 1, "rejected": 1}
    del site.pages["/s4/a"]
    assert counted(synced(admin, source)) == {"removed": 1, "rejected": 1}
    assert library(installation.env["DATABASE_URL"], source["id"]) == {}


def test_what_is_not_worth_keeping_is_rejected_with_its_reason(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    german = "Der Fonds hält Aktien vieler Unternehmen und kostet im Jahr nur wenig. " * 5
    pages = {
        "empty": "<html><body></body></html>",
        "short": article("Short", "Only a few words here."),
        "wall": article("Before you continue", "We use cookies to make this site work and to show ads. Accept all cookies "
                        "or manage your choices in the settings of your browser at any time that you like to."),
        "login": article("Members", "Please log in to continue reading this article. Already a member? Log in here. "
                         "You can also create a free account to read three articles in every month for nothing."),
        "german": article("Fonds", german),
        "bait": article("Rich", "Our robots give you guaranteed returns every day of the year. " + words("bait", "0.1")
                        + " This is a risk-free profit for you and for everybody in your family, so act now."),
        "twin": article("Fund copy", words("ibis", "0.55")),
        "good": article("Fund", words("ibis", "0.55")),
        "numbers": article("Fund", words("ibis", "0.56")),
        "print": article("Fund", words("ibis", "0.55"), "Printed.", head=f"<link rel='canonical' href='{site.url('/s5/good')}'>"),
    }  # fmt: skip
    site.pages |= {f"/s5/{name}": page for name, page in pages.items()}
    order = ["good", *(name for name in pages if name != "good")]
    site.pages["/s5/map.xml"] = sitemap(site, *(f"/s5/{name}" for name in order))
    source = added(admin, f"judge-{installation.port}", "sitemap", site.url("/s5/map.xml"))
    run = synced(admin, source)
    found = items(installation.env["DATABASE_URL"], source["id"])
    reasons = {name: found[site.url(f"/s5/{name}")].reason or "" for name in pages}
    assert counted(run) == {"new": 2, "rejected": 8}
    for name, part in {
        "empty": "no readable text", "short": "too short", "wall": "cookie", "login": "login", "german": "(de)",
        "bait": "not suitable", "twin": "same words", "print": "another address",
    }.items():  # fmt: skip
        assert part in reasons[name], (name, reasons[name])
    # The first is withdrawn: its twin is looked at again and takes its place.
    site.pages["/s5/map.xml"] = sitemap(site, "/s5/twin", "/s5/numbers")
    synced(admin, source)
    assert set(library(installation.env["DATABASE_URL"], source["id"])) == {
        f"url:{site.url('/s5/twin')}", f"url:{site.url('/s5/numbers')}",
    }  # fmt: skip


def test_a_folder_is_a_source(installation: Installation, admin: httpx.Client) -> None:
    folder = Path(installation.env["AI_INVESTMENT_DATA_DIRECTORY"]) / "folders" / "desk"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.md").write_text("# Puffin bonds\n\n" + words("puffin", "0.12"))
    (folder / "b.txt").write_text(words("auk", "0.13"))
    (folder / "evil.md").symlink_to("/etc/hostname")
    source = added(admin, f"desk-{installation.port}", "folder", "desk")
    assert counted(synced(admin, source)) == {"new": 2}
    (folder / "b.txt").unlink()
    assert counted(synced(admin, source)) == {"unchanged": 1, "removed": 1}


def test_filings_come_with_a_declared_contact_and_never_as_the_error_page(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    """The case sec-403 with a server that follows its scenario."""
    blocked = (CASES / "sec-403" / "403.html").read_text()
    times: list[float] = []
    base = f"/sec{installation.port}"

    def serve(text: str) -> Any:
        def answer(asked: Asked) -> Page | str:
            times.append(asked.at)
            recent = sum(asked.at - 1 <= at for at in times)
            if "@" not in asked.headers.get("user-agent", "") or recent > 10:
                return Page(blocked, status=403)
            return text

        return answer

    numbers = range(10)
    columns = {
        "accessionNumber": [f"0009999001-24-{n:06}" for n in numbers],
        "form": ["10-Q"] * len(numbers),
        "filingDate": [f"2024-05-{n + 1:02}" for n in numbers],
        "reportDate": ["2024-03-31"] * len(numbers),
        "primaryDocument": [f"q{n}.htm" for n in numbers],
    }
    listing = {
        "cik": "9999001",
        "name": "Example Rail Inc",
        "filings": {"recent": columns, "files": []},
    }
    site.pages[f"{base}/CIK0009999001.json"] = serve(json.dumps(listing))
    for n in numbers:
        path = f"{base}/9999001/000999900124{n:06}/q{n}.htm"
        site.pages[path] = serve(article("Form 10-Q", words(f"rail{n}", f"1.{n}")))
    source = added(
        admin, f"filings-{installation.port}", "sec_filings", site.url(f"{base}/CIK0009999001.json"),
        options={"archives": site.url(base)}, trust="official",
    )  # fmt: skip
    assert counted(synced(admin, source)) == {"new": len(numbers)}
    assert max(sum(start <= at < start + 1 for at in times) for start in times) <= 10
    for item in items(installation.env["DATABASE_URL"], source["id"]).values():
        document = admin.get(f"/api/v1/content/{item.document_id}").json()
        assert document["title"] == "Example Rail Inc: 10-Q for 2024-03-31"
        assert "Access refused" not in document["text"]
        assert document["published_at"].startswith("2024-05-")


def test_company_facts_become_tables_with_their_periods(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    site.pages["/s6/facts.json"] = (CASES / "sec-ytd-as-quarter" / "companyfacts.json").read_bytes()
    options = {
        "concepts": ["NetCashProvidedByUsedInOperatingActivities", "PaymentsToAcquireInvestments"]
    }
    source = added(
        admin,
        f"facts-{installation.port}",
        "sec_facts",
        site.url("/s6/facts.json"),
        options=options,
    )
    assert counted(synced(admin, source)) == {"new": 1}
    [item] = items(installation.env["DATABASE_URL"], source["id"]).values()
    text = admin.get(f"/api/v1/content/{item.document_id}").json()["text"]
    assert "quarter from 2023-08-01 to 2023-10-31 | 647,000 USD" in text
    assert "9 months from 2023-02-01 to 2023-10-31 | 1,902,000 USD" in text


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "prices"}, "#/kind"),
        ({"kind": "telepathy"}, "#/kind"),
        ({"url": "http://169.254.169.254/"}, "#/url"),
        ({"url": "file:///etc/passwd"}, "#/url"),
        ({"kind": "folder", "url": "../secrets"}, "#/url"),
        ({"kind": "folder", "url": "/etc"}, "#/url"),
        ({"schedule": "* * * * *"}, "#/schedule"),
        ({"schedule": "now and then"}, "#/schedule"),
        ({"schedule": "0 0 31 2 *"}, "#/schedule"),
        ({"options": {"urls": ["http://10.0.0.1/"]}}, "#/options/urls/0"),
        ({"options": {"colour": "red"}}, "#/options"),
        ({"name": "Not a name"}, "#/name"),
    ],
)
def test_a_source_that_cannot_work_is_refused(
    admin: httpx.Client, change: dict[str, Any], pointer: str
) -> None:
    body = {
        "name": "wrong",
        "kind": "page",
        "url": "https://example.org/",
        "publisher": "P",
        "licence": "L",
    }
    response = admin.post("/api/v1/content/sources", json=body | change)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == pointer
    assert "wrong" not in [source["name"] for source in admin.get("/api/v1/content/sources").json()]


def test_sources_are_for_operators_only(api: httpx.Client) -> None:
    assert api.get("/api/v1/content/sources").status_code == 403
    assert api.post("/api/v1/content/sources/src_1/sync").status_code == 403
    assert api.get("/api/v1/content/sources/src_1/runs").status_code == 403


def test_an_unknown_source_is_a_clear_problem(admin: httpx.Client) -> None:
    assert admin.post("/api/v1/content/sources/src_none/sync").status_code == 404
    assert admin.get("/api/v1/content/sources/src_none/runs").status_code == 404


def test_a_removed_source_takes_its_documents_along(
    installation: Installation, admin: httpx.Client, site: Site
) -> None:
    site.pages["/s7/a"] = article("Dodo", words("dodo", "0.91"))
    source = added(admin, f"gone-{installation.port}", "page", site.url("/s7/a"))
    synced(admin, source)
    [item] = items(installation.env["DATABASE_URL"], source["id"]).values()
    assert admin.delete(f"/api/v1/content/sources/{source['id']}").status_code == 204
    assert admin.get(f"/api/v1/content/{item.document_id}").status_code == 404


def test_the_command_line_adds_runs_and_tells(
    installation: Installation, admin: httpx.Client, site: Site, tmp_path: Path
) -> None:
    env = {
        "AI_INVESTMENT_URL": installation.url,
        "AI_INVESTMENT_API_KEY": installation.key("admin"),
        "COLUMNS": "250",
    }
    name = f"cli-{installation.port}"
    site.pages["/s8/a"] = article("Okapi", words("okapi", "0.62"))
    own = ["--kind", "page", "--url", site.url("/s8/a"), "--publisher", "Us", "--licence", "ours"]
    added_line = installation.cli("sources", "add", name, *own, "--schedule", "0 0 1 1 *", env=env)
    assert "is active" in added_line.stdout
    assert "paused" in installation.cli("sources", "pause", name, env=env).stdout
    run = json.loads(
        installation.cli("sources", "sync", name, "--everything", "--json", env=env).stdout
    )
    assert (run["everything"], counted(run)["new"] + run["counts"]["unchanged"]) == (True, 1)
    assert "succeeded" in installation.cli("sources", "runs", name, env=env).stdout
    listed = installation.cli("sources", "list", env=env).stdout
    assert name in listed
    assert "fed-press-releases" in listed
    unknown = installation.cli("sources", "sync", "nobody", env=env, check=False)
    assert (unknown.returncode, "no such source" in unknown.stderr) == (2, True)
    site.pages["/s8/a"] = Page(status=500)
    failed = installation.cli("sources", "sync", name, env=env, check=False)
    assert failed.returncode == 1
    assert "The site answered 500" in failed.stdout
    assert "removed" in installation.cli("sources", "remove", name, "--yes", env=env).stdout
