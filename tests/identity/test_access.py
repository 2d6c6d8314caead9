"""Who gets in, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest
import sqlalchemy as sa

from ai_investment.db import Database
from ai_investment.identity.models import ApiKey
from tests.conftest import environment
from tests.installation import Installation
from tests.services import ChromaServer, RedisServer

LIST = "/api/v1/jobs"


def test_without_credentials_nothing_but_health_and_docs_is_answered(
    installation: Installation,
) -> None:
    with installation.client() as nobody:
        refused = nobody.get(LIST)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert nobody.get("/metrics").status_code == 401
        assert nobody.get("/health/detailed").status_code == 401
        assert nobody.get("/health").status_code == 200


@pytest.mark.parametrize("key", ["aib_wrong", "", "' OR 1=1 --", "x" * 5000])
def test_a_wrong_key_is_401(installation: Installation, key: str) -> None:
    with installation.client() as client:
        assert client.get(LIST, headers={"X-API-Key": key}).status_code == 401


def test_a_key_is_accepted_in_either_header(installation: Installation) -> None:
    key = installation.key()
    with installation.client() as client:
        assert client.get(LIST, headers={"X-API-Key": key}).status_code == 200
        assert client.get(LIST, headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_keys_are_made_listed_and_revoked_on_the_command_line_and_shown_once(
    installation: Installation,
) -> None:
    made = json.loads(installation.cli("keys", "create", "my app", "--days", "30", "--json").stdout)
    listed = installation.cli("keys", "list", "--json").stdout
    assert made["id"] in listed
    assert made["key"] not in listed
    assert made["key"] not in _stored(installation)
    with installation.client(made["key"]) as client:
        assert client.get(LIST).status_code == 200
        installation.cli("keys", "revoke", made["id"])
        assert client.get(LIST).status_code == 401
    unknown = installation.cli("keys", "revoke", "key_none", check=False)
    assert unknown.returncode == 1
    assert "Traceback" not in unknown.stderr


def _stored(installation: Installation) -> str:
    async def read() -> str:
        database = Database(installation.env["DATABASE_URL"])
        async with database.reading() as connection:
            rows = (await connection.execute(sa.select(ApiKey.__table__))).all()
        await database.dispose()
        return str(rows)

    return asyncio.run(read())


def test_an_expired_key_is_401(installation: Installation) -> None:
    made = json.loads(installation.cli("keys", "create", "old", "--days", "1", "--json").stdout)

    async def expire() -> None:
        database = Database(installation.env["DATABASE_URL"])
        async with database.transaction() as db:
            await db.execute(
                sa.update(ApiKey)
                .where(ApiKey.id == made["id"])
                .values(expires_at=ApiKey.created_at)
            )
        await database.dispose()

    asyncio.run(expire())
    with installation.client(made["key"]) as client:
        assert client.get(LIST).status_code == 401


def test_a_read_only_key_may_read_and_nothing_else(installation: Installation) -> None:
    made = json.loads(installation.cli("keys", "create", "reader", "--read-only", "--json").stdout)
    with installation.client(made["key"]) as client:
        assert client.get(LIST).status_code == 200
        assert client.post("/api/v1/chat/messages", json={"message": "hi"}).status_code == 403


def test_an_operators_pages_need_an_operators_key(
    installation: Installation, api: httpx.Client
) -> None:
    assert api.get("/metrics").status_code == 403
    assert api.get("/health/detailed").status_code == 403


@pytest.fixture(scope="module")
def embedded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """An API alone that lets the person at this computer in without a key."""
    folder = tmp_path_factory.mktemp("embedded")
    redis: RedisServer = request.getfixturevalue("redis_server")
    chroma: ChromaServer = request.getfixturevalue("chroma")
    env = environment("sqlite", request, folder, redis, chroma)
    installation = Installation(folder, {**env, "AI_INVESTMENT_LOCAL_USER": "true"})
    installation.start("api")
    yield installation
    installation.stop()


def test_the_person_at_this_computer_needs_no_key(embedded: Installation) -> None:
    with embedded.client() as client:
        assert client.get(LIST).status_code == 200
        assert client.get("/health/detailed").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Host": "evil.example"},
        {"Host": "["},
        {"Origin": "http://["},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-API-Key": "aib_wrong"},
    ],
    ids=lambda headers: next(iter(headers.items())).__str__(),
)
def test_proxies_and_foreign_web_pages_are_not_the_person_at_this_computer(
    embedded: Installation, headers: dict[str, str]
) -> None:
    with embedded.client() as client:
        assert client.get(LIST, headers=headers).status_code == 401


def test_the_page_of_this_server_itself_is_let_in(embedded: Installation) -> None:
    with embedded.client() as client:
        own = {"Origin": embedded.url, "Sec-Fetch-Site": "same-origin"}
        assert client.get(LIST, headers=own).status_code == 200
