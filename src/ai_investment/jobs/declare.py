"""Declaring a job: its kind, queue and policy stand on top of the function that does the work."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import msgspec

if TYPE_CHECKING:
    from ai_investment.jobs.run import Run

P = ParamSpec("P")
U = TypeVar("U")
QUEUES = ("answers", "embeddings", "pipeline", "delivery")


@dataclass(frozen=True)
class JobKind(Generic[U, P]):
    """A declared job. `U` is what its worker provides (`run.use`), `P` its arguments."""

    name: str
    queue: str
    attempts: int
    lease: int
    priority: int
    quota: int | None
    unique: str | None
    function: Callable[Concatenate[Run[U], P], Awaitable[None]]
    args_type: type[msgspec.Struct]
    signature: inspect.Signature

    def pack(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """The arguments as the JSON object kept in the row; raises TypeError as a call would."""
        bound = self.signature.bind(None, *args, **kwargs)
        packed: dict[str, Any] = msgspec.to_builtins(dict(list(bound.arguments.items())[1:]))
        return packed

    def unpack(self, args: dict[str, Any]) -> dict[str, Any]:
        """Typed keyword arguments from the row; raises msgspec.ValidationError."""
        return msgspec.structs.asdict(msgspec.convert(args, self.args_type))


KINDS: dict[str, JobKind[Any, ...]] = {}


def job(
    name: str,
    *,
    queue: str,
    attempts: int = 5,
    lease: int = 60,
    priority: int = 5,
    quota: int | None = None,
    unique: str | None = None,
) -> Callable[[Callable[Concatenate[Run[U], P], Awaitable[None]]], JobKind[U, P]]:
    """Declare a job.

    `lease`: for how many seconds a silent worker is trusted; renewed every third of it.
    `priority`: 0 runs first, 9 last. `quota`: live jobs of this kind that one owner may have.
    `unique`: the argument by which there is at most one live job; asking again gives that one.
    """
    if queue not in QUEUES:
        raise ValueError(f"{name}: there is no queue {queue}")
    if name in KINDS:
        raise ValueError(f"{name}: declared twice")

    def declare(function: Callable[Concatenate[Run[U], P], Awaitable[None]]) -> JobKind[U, P]:
        signature = inspect.signature(function)
        fields = [
            (parameter.name, hints[parameter.name])
            if parameter.default is parameter.empty
            else (parameter.name, hints[parameter.name], parameter.default)
            for parameter in list(signature.parameters.values())[1:]
            for hints in [inspect.get_annotations(function, eval_str=True)]
        ]
        args_type = msgspec.defstruct(
            f"{name}.args", fields, kw_only=True, forbid_unknown_fields=True
        )
        if unique is not None and unique not in args_type.__struct_fields__:
            raise ValueError(f"{name}: unique by {unique}, which is no argument")
        policy = (queue, attempts, lease, priority, quota, unique)
        kind = JobKind(name, *policy, function, args_type, signature)
        KINDS[name] = kind
        return kind

    return declare
