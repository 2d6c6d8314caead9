"""What KEDA asks PostgreSQL: with its own role, on the real schema, with the plan it is meant to have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.manifests.render import GITOPS, environment
from tests.services import PostgresServer

QUERIES = {
    item["metadata"]["name"]: item["spec"]["triggers"][0]["metadata"]["query"]
    for item in environment("production")
    if item["kind"] == "ScaledObject"
}


@pytest.fixture(scope="module")
def jobs(migrated_postgres: PostgresServer) -> PostgresServer:
    """20,000 finished jobs, and for each queue 3 due, 2 running, 4 not yet due; KEDA's role as documented."""
    migrated_postgres.sql("CREATE DATABASE scaled TEMPLATE template_ours")
    rows = """INSERT INTO jobs (id, kind, queue, args, state, attempt, max_attempts, priority, turn, lease_seconds, fence,
        lease_until, version, run_at, dead, cancel_requested, created_at)
        SELECT {id} || q || i, 'k', q, '{{"secret": "words"}}', {state}, 0, 1, 5, 0, 60, 0, {lease}, 0, {run_at}, false,
        false, now() FROM unnest(ARRAY['answers', 'embeddings', 'pipeline', 'delivery']) q, generate_series(1, {count}) i"""
    for id_, state, lease, run_at, count in (
        ("'old'", "'succeeded'", "NULL", "now() - interval '1 day'", 5000),
        ("'due'", "'queued'", "NULL", "now() - interval '1 second'", 3),
        ("'run'", "'running'", "now() + interval '60 seconds'", "now()", 2),
        ("'late'", "'queued'", "NULL", "now() + interval '1 hour'", 4),
    ):
        statement = rows.format(id=id_, state=state, lease=lease, run_at=run_at, count=count)
        _psql(migrated_postgres, "postgres", "-c", statement)
    _psql(migrated_postgres, "postgres", "-c", "ANALYZE jobs")
    role = GITOPS / "sql" / "scaler-role.sql"
    _psql(migrated_postgres, "postgres", "-v", "password=p", "-f", str(role))
    return migrated_postgres


def _psql(server: PostgresServer, user: str, *arguments: str, check: bool = True) -> str:
    [program] = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1:] or [Path("psql")]
    command = [str(program), "-h", "127.0.0.1", "-p", str(server.port), "-U", user, "-d", "scaled"]
    done = subprocess.run(
        [*command, "-v", "ON_ERROR_STOP=1", "-qAt", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip() or done.stderr.strip()


@pytest.mark.parametrize("queue", QUERIES)
def test_kedas_role_counts_jobs_that_are_due_and_that_run(jobs: PostgresServer, queue: str) -> None:
    assert _psql(jobs, "scaler", "-c", QUERIES[queue]) == "5"


@pytest.mark.parametrize("queue", QUERIES)
def test_the_count_reads_partial_indexes_and_not_the_table(
    jobs: PostgresServer, queue: str
) -> None:
    plan = _psql(jobs, "postgres", "-c", f"EXPLAIN {QUERIES[queue]}")
    assert "Seq Scan on jobs" not in plan
    assert "ix_jobs_" in plan


@pytest.mark.parametrize(
    "statement",
    ["SELECT args FROM jobs", "SELECT * FROM jobs", "DELETE FROM jobs", "SELECT * FROM users",
     "UPDATE jobs SET state = 'queued'", "CREATE TABLE mine (a int)"],
)  # fmt: skip
def test_kedas_role_may_do_nothing_else(jobs: PostgresServer, statement: str) -> None:
    refused = _psql(jobs, "scaler", "-c", statement, check=False)
    assert "denied" in refused or "read-only transaction" in refused
