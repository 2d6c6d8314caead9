"""/calculators: what there is, and computing. Nothing is stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

from ai_investment.calculators.calculator import Calculation, Calculator
from ai_investment.calculators.inputs import decode
from ai_investment.calculators.registry import CALCULATORS, named
from ai_investment.calculators.tools import input_schema
from ai_investment.identity.access import User


class CalculatorView(msgspec.Struct):
    """A calculator: what it finds, how, and what it takes."""

    name: str
    title: str
    summary: str
    formula: str
    sources: list[str]
    assumptions: list[str]
    inputs: dict[str, Any]
    """A JSON schema of the body to POST."""


class Calculators(msgspec.Struct):
    items: list[CalculatorView]


@get("/calculators", operation_id="ListCalculators", tags=["Calculators"], sync_to_thread=False,
     summary="All calculators with their formulas and inputs")  # fmt: skip
def list_calculators(user: User) -> Calculators:
    return Calculators(
        [
            CalculatorView(
                name=item.name,
                title=item.title,
                summary=item.summary,
                formula=item.formula,
                sources=item.sources,
                assumptions=item.assumptions,
                inputs=input_schema(item),
            )
            for item in CALCULATORS.values()
        ]
    )


def _computing(calculator: Calculator) -> HTTPRouteHandler:
    """The route of one calculator; its inputs stand in the OpenAPI document."""

    @dataclass
    class TakesInputs(Operation):
        def __post_init__(self) -> None:
            schema: Any = input_schema(calculator)
            self.request_body = RequestBody(
                {"application/json": OpenAPIMediaType(schema=schema)}, required=True
            )

    async def compute(user: User, request: Request[Any, Any, Any]) -> Calculation:
        given = decode(calculator, await request.body())
        # In a thread: the longest inputs take a second of computing.
        return await asyncio.to_thread(calculator, given)

    compute.__annotations__ = {"user": User, "request": Request, "return": Calculation}
    return post(
        f"/calculators/{calculator.name}",
        status_code=200,
        operation_id="Calculate" + calculator.name.title().replace("_", ""),
        operation_class=TakesInputs,
        tags=["Calculators"],
        summary=calculator.title,
        description=f"{calculator.summary}\n\n{calculator.formula}",
        opt={"scope": "read"},
    )(compute)


@post(
    "/calculators/{name:str}", include_in_schema=False, sync_to_thread=False, opt={"scope": "read"}
)
def unknown_calculator(user: User, name: str) -> None:
    named(name)


routes = [list_calculators, *map(_computing, CALCULATORS.values()), unknown_calculator]
