"""`ai-investment calc --batch` as a program uses it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.calculators.independent import METRICS, cases
from tests.installation import PROGRAM, clean_environment

EACH = 700


def calc(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "calc", *arguments], env=clean_environment({}), capture_output=True, text=True, timeout=100, check=False
    )  # fmt: skip


class Computed:
    def __init__(self, folder: Path) -> None:
        self.lines = list(cases(EACH, seed=20261125))
        (folder / "in.jsonl").write_text("\n".join(map(json.dumps, self.lines)) + "\n")
        self.done = calc("--batch", str(folder / "in.jsonl"), "--out", str(folder / "out.json"))
        assert self.done.returncode == 0, self.done.stderr
        self.values = json.loads((folder / "out.json").read_text(), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Computed:
    return Computed(tmp_path_factory.mktemp("batch"))


def test_there_are_more_than_ten_thousand_cases(computed: Computed) -> None:
    assert len(computed.values) == len(computed.lines) == EACH * len(METRICS) > 10_000


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_agrees_with_an_independent_way(computed: Computed, metric: str) -> None:
    _, find = METRICS[metric]
    numbers = 0
    for line in computed.lines:
        if line["metric"] == metric:
            ours, theirs = computed.values[line["id"]], find(line["inputs"])
            assert ours == _near(theirs), line
            numbers += ours is not None
    # Cases without a number would agree without saying anything.
    assert numbers > 0.95 * EACH


def _near(expected: Any) -> Any:
    if expected is None:
        return None
    if not isinstance(expected, dict):
        return pytest.approx(expected, rel=1e-8, abs=1e-9)
    # A difference of two amounts is as exact as they are.
    largest = max(abs(value) for value in expected.values() if isinstance(value, float))
    return {
        name: pytest.approx(value, rel=1e-8, abs=1e-12 * largest)
        if isinstance(value, float)
        else value
        for name, value in expected.items()
    }


def test_no_number_is_null_and_counted_by_reason(tmp_path: Path) -> None:
    lines = [
        {"id": "rate", "metric": "cagr", "inputs": {"begin": "100", "end": 121, "years": 2}},
        {"id": 2, "metric": "cagr", "inputs": {"begin": 0, "end": 121, "years": 2}},
        {"id": "one day", "metric": "xirr", "inputs": {"flows": [["2024-05-06", -1]]}},
    ]
    (tmp_path / "in.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    done = calc("--batch", str(tmp_path / "in.jsonl"))
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"rate": pytest.approx(0.1), "2": None, "one day": None}
    assert "3 computed, 2 of them without a number: not_positive 1, same_day 1" in done.stderr


GOOD = '{"id": "a", "metric": "cagr", "inputs": {"begin": 1, "end": 2, "years": 1}}'


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('{"id": "b"', "line 2: Not JSON"),
        ("[]", "line 2: Expected `object`, got `array`"),
        ('{"id": "b", "inputs": {}}', "line 2: #/metric: missing field"),
        ('{"id": "b", "metric": "alpha", "inputs": {}}', "line 2 (id 'b'): There is no calculator"),
        (GOOD, "line 2 (id 'a'): an earlier line has the same id"),
        (GOOD.replace('"a"', '"b"').replace("1}", '"soon"}'), "line 2 (id 'b'): #/years: not a number"),
        (GOOD.replace('"a"', '"b"').replace("1}", "1, \"rate\": 1}"), "line 2 (id 'b'): #/rate: unknown field"),
        (GOOD.replace('"a"', '"b"').replace("1}", "NaN}"), "line 2: Not JSON"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_calculation_is_named_and_nothing_is_written(
    tmp_path: Path, bad: str, said: str
) -> None:
    (tmp_path / "in.jsonl").write_text(f"{GOOD}\n{bad}\n")
    done = calc("--batch", str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.json"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()
