from __future__ import annotations

from ai_investment.settings import read_settings
from tests.house.generated import contents


def test_generated_files_are_fresh() -> None:
    for path, text in contents().items():
        assert path.read_text() == text, f"run `just generate`: {path.name}"


def test_the_example_environment_is_valid_when_uncommented() -> None:
    [example] = [text for path, text in contents().items() if path.name == ".env.example"]
    lines = [line.removeprefix("# ") for line in example.splitlines()]
    settings = dict(
        line.split("=", 1) for line in lines if line.split("=", 1)[0].isupper() and "=" in line
    )
    assert len(settings) > 10
    read_settings({name: value for name, value in settings.items() if value})
