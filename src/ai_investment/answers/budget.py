"""What models may cost a day: reserved before a call and settled after it, for each person and for all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from ai_investment.db import Base, Database, Db, Read

_EVERYBODY = ""
_MILLION = 1_000_000


class Spending(Base):
    """Tokens and cost of one UTC day, those reserved for calls that run now included.

    `payer` is a user's id, or empty for all together. A call that was killed leaves its reservation,
    so that a day's limit errs to the safe side.
    """

    __tablename__ = "ai_spending"

    day: Mapped[date] = mapped_column(sa.Date, primary_key=True)
    payer: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    tokens: Mapped[int] = mapped_column(sa.BigInteger)
    micro_usd: Mapped[int] = mapped_column(sa.BigInteger)
    """Millionths of a US dollar; calls of models without a known price count as 0."""


class Limits(msgspec.Struct, frozen=True):
    """Per UTC day."""

    user_tokens: int
    tokens: int
    cost_usd: Decimal


class Amount(msgspec.Struct, frozen=True):
    """What a call costs; the price may be unknown."""

    tokens: int
    cost_usd: Decimal | None

    @property
    def micro_usd(self) -> int:
        return int((self.cost_usd or Decimal(0)) * _MILLION)


class Reservation(msgspec.Struct, frozen=True):
    day: date
    payers: list[str]
    amount: Amount


class Budget:
    """Limits that hold whatever runs at the same time: a reservation is one conditional statement."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def reserve(self, user_id: str | None, amount: Amount) -> Reservation | None:
        """Room for a call of at most `amount`; None when it would break a limit."""
        limits, day = self._limits, datetime.now(UTC).date()
        wanted = [(_EVERYBODY, limits.tokens)]
        if user_id:
            wanted.append((user_id, limits.user_tokens))
        async with self._database.transaction() as db:
            for payer, tokens in wanted:
                if not await _take(db, day, payer, amount, tokens, limits.cost_usd):
                    await db.rollback()
                    return None
        return Reservation(day, [payer for payer, _ in wanted], amount)

    async def settle(self, reservation: Reservation, amount: Amount | None) -> None:
        """What the call really cost; unknown: what was reserved stands."""
        if amount is None:
            return
        used = reservation.amount
        async with self._database.transaction() as db:
            await db.execute(
                sa.update(Spending)
                .where(Spending.day == reservation.day, Spending.payer.in_(reservation.payers))
                .values(
                    tokens=Spending.tokens + (amount.tokens - used.tokens),
                    micro_usd=Spending.micro_usd + (amount.micro_usd - used.micro_usd),
                )
                .execution_options(synchronize_session=False)
            )


async def _take(
    db: Db, day: date, payer: str, amount: Amount, tokens: int, cost_usd: Decimal
) -> bool:
    """Add to a row unless that breaks its limits; the daily cost is limited for all together."""
    most_micro = int(cost_usd * _MILLION)
    if amount.tokens > tokens or amount.micro_usd > most_micro:
        return False
    build = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = build(Spending).values(
        day=day, payer=payer, tokens=amount.tokens, micro_usd=amount.micro_usd
    )
    taken = row.on_conflict_do_update(
        index_elements=[Spending.day, Spending.payer],
        set_={
            "tokens": Spending.tokens + row.excluded.tokens,
            "micro_usd": Spending.micro_usd + row.excluded.micro_usd,
        },
        where=sa.and_(
            Spending.tokens + row.excluded.tokens <= tokens,
            Spending.micro_usd + row.excluded.micro_usd <= most_micro,
        ),
    ).returning(Spending.tokens)
    return (await db.execute(taken)).first() is not None


async def spent_today(read: Read) -> tuple[int, Decimal]:
    """Tokens and US dollars of all together, today in UTC."""
    query = sa.select(Spending.tokens, Spending.micro_usd).where(
        Spending.day == datetime.now(UTC).date(), Spending.payer == _EVERYBODY
    )
    row = (await read.execute(query)).one_or_none()
    return (row.tokens, Decimal(row.micro_usd) / _MILLION) if row else (0, Decimal(0))
