"""What the database itself records during a fault test: effects, and every change of a job's state."""

from __future__ import annotations

import sqlalchemy as sa

from ai_investment.db import Database

RECORDS = sa.MetaData()
EFFECTS = sa.Table(
    "test_effects",
    RECORDS,
    sa.Column("job_id", sa.String(40), index=True),
    sa.Column("attempt", sa.Integer),
    sa.Column("pid", sa.Integer),
)
MOVES = sa.Table(
    "test_moves",
    RECORDS,
    sa.Column("job_id", sa.String(40), index=True),
    sa.Column("was", sa.String(12)),
    sa.Column("became", sa.String(12)),
)

_MOVE = "INSERT INTO test_moves VALUES (NEW.id, OLD.state, NEW.state);"
# An answer written to its message is the effect of a chat job.
_ANSWER = "INSERT INTO test_effects VALUES (NEW.job_id, 0, 0);"
_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER test_move AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state "
        f"BEGIN {_MOVE} END",
        "CREATE TRIGGER test_answer AFTER UPDATE OF answer ON messages "
        f"WHEN NEW.answer IS NOT NULL BEGIN {_ANSWER} END",
    ),
    "postgresql": (
        f"CREATE FUNCTION test_move() RETURNS trigger AS $$ BEGIN {_MOVE} RETURN NULL; END $$ "
        "LANGUAGE plpgsql",
        f"CREATE FUNCTION test_answer() RETURNS trigger AS $$ BEGIN {_ANSWER} RETURN NULL; END $$ "
        "LANGUAGE plpgsql",
        "CREATE TRIGGER test_move AFTER UPDATE ON jobs FOR EACH ROW "
        "WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION test_move()",
        "CREATE TRIGGER test_answer AFTER UPDATE OF answer ON messages FOR EACH ROW "
        "WHEN (NEW.answer IS NOT NULL) EXECUTE FUNCTION test_answer()",
    ),
}


async def install(database: Database) -> None:
    """Tables and triggers beside ours, which the code under test does not know."""
    async with database.engine.begin() as connection:
        await connection.run_sync(RECORDS.create_all)
        for statement in _TRIGGERS[database.engine.dialect.name]:
            await connection.exec_driver_sql(statement)
