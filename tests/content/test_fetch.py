"""Documents sent as a URL: fetched by a job, through the guard, and taken in like an upload."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.doubles.site import Page, Site
from tests.installation import Installation, finished

ARTICLE = (
    "<html><head><title>Kelp funds</title></head><body><nav><a href='/'>Home</a></nav><article>"
    "<h1>Kelp funds</h1><p>A kelp fund holds shares of companies that farm kelp in cold seas.</p>"
    "<p>Its yearly fee is 0.35 percent, and it is taken from the value of the fund each month.</p>"
    "</article></body></html>"
)


def taken_in(admin: httpx.Client, **body: str) -> dict[str, Any]:
    response = admin.post("/api/v1/content/documents", json=body)
    assert response.status_code == 202, response.text
    job = finished(admin, response.json()["job"])
    while job["state"] == "succeeded" and (follow_up := job["result"]["follow_up"]):
        job = finished(admin, admin.get(f"/api/v1/jobs/{follow_up}").json())
    return {**job, "document_id": response.json()["document_id"]}


def test_a_page_is_fetched_and_becomes_passages(admin: httpx.Client, site: Site) -> None:
    site.pages["/kelp"] = ARTICLE
    job = taken_in(admin, url=site.url("/kelp?utm_source=mail#top"))
    assert job["state"] == "succeeded", job["error"]
    assert job["result"]["passages"] >= 1
    document = admin.get(f"/api/v1/content/{job['document_id']}").json()
    assert document["title"] == "Kelp funds"
    assert "yearly fee is 0.35 percent" in document["text"]
    assert "Home" not in document["text"]
    again = taken_in(admin, url=site.url("/kelp"))
    assert again["document_id"] == job["document_id"]
    assert again["result"]["passages"] is None  # nothing was embedded


def test_a_page_that_is_not_there_fails_with_its_reason(admin: httpx.Client, site: Site) -> None:
    job = taken_in(admin, url=site.url("/nowhere"))
    assert job["state"] == "failed"
    assert "404" in job["error"]["detail"]


def test_a_redirect_into_the_private_network_fails_and_stores_nothing(
    admin: httpx.Client, site: Site
) -> None:
    target = "http://169.254.169.254/latest/meta-data/iam"
    site.pages["/sly"] = Page(status=302, headers={"Location": target})
    job = taken_in(admin, url=site.url("/sly"))
    assert job["state"] == "failed"
    assert "not public" in job["error"]["detail"]
    assert admin.get(f"/api/v1/content/{job['document_id']}").status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://[::1]/",
        "http://127.0.0.1:6379/",
        "http://u:p@example.org/",
    ],
)
def test_a_url_that_may_never_be_fetched_is_refused_at_once(admin: httpx.Client, url: str) -> None:
    response = admin.post("/api/v1/content/documents", json={"url": url})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/url"


@pytest.mark.parametrize("host", ["localhost:6379", "2130706433", "0x7f.1", "localhost"])
def test_a_name_of_this_computer_gets_nowhere(admin: httpx.Client, host: str) -> None:
    response = admin.post("/api/v1/content/documents", json={"url": f"http://{host}/"})
    if response.status_code == 422:
        return
    job = finished(admin, response.json()["job"])
    assert job["state"] == "failed"
    assert "not public" in job["error"]["detail"]


def test_a_document_needs_words_or_a_url(admin: httpx.Client) -> None:
    response = admin.post("/api/v1/content/documents", json={"title": "A"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/text"


def test_the_command_line_takes_a_url(installation: Installation, site: Site) -> None:
    site.pages["/cli-kelp"] = ARTICLE.replace("0.35", "0.45")
    env = {
        "AI_INVESTMENT_URL": installation.url,
        "AI_INVESTMENT_API_KEY": installation.key("admin"),
    }
    done = installation.cli("ingest", site.url("/cli-kelp"), "--json", env=env)
    again = installation.cli("ingest", site.url("/cli-kelp"), "--json", env=env)
    assert '"added"' in done.stdout
    assert '"unchanged"' in again.stdout
