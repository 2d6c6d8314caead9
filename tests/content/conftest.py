"""Sources are gone when a test ends: a failing one would make the whole installation unhealthy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

SOURCES = "/api/v1/content/sources"


@pytest.fixture(autouse=True)
def sources_end_with_their_test(request: pytest.FixtureRequest) -> Iterator[None]:
    admin = request.getfixturevalue("admin") if "admin" in request.fixturenames else None
    yield
    if admin is not None:
        for source in admin.get(SOURCES).json():
            admin.delete(f"{SOURCES}/{source['id']}")
