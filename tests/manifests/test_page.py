"""docs/deployment.md: each row of the guide says where it lives, and those places exist."""

from __future__ import annotations

import re

from tests.manifests.render import ROOT

GUIDE = (
    "Docker", "Compose", "SSL", "ECS", "ElastiCache", "ALB", "Cloud Run", "Container Instances", "configuration", "secrets",
    "health", "logs", "metrics", "TLS", "firewall", "security groups", "API keys", "JWT", "load balancing", "autoscaling",
    "Redis Cluster", "Firestore", "caching", "GitHub Actions", "GitLab CI", "backups", "rolling", "blue-green", "monitoring",
    "alerts",
)  # fmt: skip
PAGE = (ROOT / "docs" / "deployment.md").read_text()
TOP = r"(?:gitops|docs|tests|scripts|ansible|\.github)/[\w./-]+|compose[\w.]*\.yaml|Containerfile|\.gitlab-ci\.yml"


def test_every_row_of_the_guide_has_a_place_and_a_test() -> None:
    table = PAGE.partition("## The guide, row by row")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]  # fmt: skip
    assert {len(row) for row in rows} == {3}
    assert all(cell for row in rows for cell in row)
    assert [name for name in GUIDE if not any(name in row[0] for row in rows)] == []


def test_what_the_page_names_exists() -> None:
    places = {
        place for quoted in re.findall(r"`([^`\n]+)`", PAGE) for place in re.findall(rf"^({TOP})$", quoted)
    } | {f"docs/{page}" for page in re.findall(r"\]\(([\w-]+\.md)\)", PAGE)}  # fmt: skip
    assert len(places) > 20
    assert [place for place in sorted(places) if not (ROOT / place).exists()] == []
