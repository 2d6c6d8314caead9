"""A statement that is put together once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


class Compiled:
    """A statement that gives rows, compiled once. In an idle process, where no cache is warm, putting a
    statement together and taking its rows apart costs several times what the database needs for it.
    """

    def __init__(self, statement: sa.UpdateBase | sa.SelectBase, dialect: sa.Dialect) -> None:
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._fixed = dict(compiled.params)
        open_ = {name: compiled.binds[name] for name in self._names if name in compiled.binds}
        kinds = {name: bound.type.dialect_impl(dialect) for name, bound in open_.items()}
        coders = [(name, kind.bind_processor(dialect)) for name, kind in kinds.items()]
        self._encode = {name: encode for name, encode in coders if encode}
        types = [column.type.dialect_impl(dialect) for column in statement.exported_columns]
        self._decode = [kind.result_processor(dialect, None) for kind in types]

    def parameters(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """All in their places. `values` are those of the parameters that were left open."""
        filled = {**self._fixed, **values}
        for name, encode in self._encode.items():
            filled[name] = encode(filled[name])
        return tuple(filled[name] for name in self._names)

    def decoded(self, rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """The driver's rows with our types."""
        return [
            tuple(
                decode(value) if decode else value
                for decode, value in zip(self._decode, row, strict=True)
            )
            for row in rows
        ]

    async def run(self, connection: AsyncConnection, **values: Any) -> list[tuple[Any, ...]]:
        """Run it in the connection's transaction; returns its rows."""
        result = await connection.exec_driver_sql(self.text, self.parameters(values))
        return self.decoded(result.all())
