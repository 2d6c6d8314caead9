# `just` alone lists the recipes.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list --unsorted

# Everything a change must pass: check, then test
all: check test

# Types, lint, format, import rules, generated files, ports open to the world
check:
    uv run ruff check .
    uv run ruff format --check .
    uv run mypy
    uv run lint-imports
    uv run python -m tests.house.generated --check
    uv run python -m tests.house.exposure

# Install what tests need (Debian packages when root), then run them
test *ARGS: setup
    uv run --group deploy pytest {{ARGS}}

# Debian packages that tests use: redis-server, PostgreSQL
setup:
    ./scripts/setup

# Manifests, Compose, clouds and CI; every mutant of every environment
test-manifests *ARGS:
    ALL_MUTANTS=1 uv run --group deploy pytest tests/manifests {{ARGS}}

# The fault matrix with many seeds (docs/reliability.md); COUNT times in a row
test-faults COUNT="1" *ARGS: setup
    for round in $(seq {{COUNT}}); do FAULT_SEEDS=20 uv run pytest tests/faults {{ARGS}}; done

# Our job engine beside arq, SAQ, Procrastinate and a bare Redis loop, in one run
bench-jobs *ARGS: setup
    uv run --group bench python -m benchmarks.jobs {{ARGS}}

# Indexing documents beside a bare onnxruntime loop on the same texts
bench-embedding *ARGS: setup
    uv run python -m benchmarks.embedding {{ARGS}}

# Main-text extraction beside trafilatura's defaults, on pages in ten shapes
bench-extraction *ARGS:
    uv run python -m benchmarks.extraction {{ARGS}}

# Train the safety gate's head from benchmarks/safety/training.jsonl and score the gate (docs/safety.md)
train-safety *ARGS:
    uv run python -m benchmarks.safety.train {{ARGS}}
# How good the shipped answers are over our own prompts, into docs/evaluation.md
eval-answers:
    uv run python -m benchmarks.answers.quality

# Answers from accepted to done over 5,000 passages, the worker's memory, the first sentence of a stream
bench-answers *ARGS: setup
    uv run python -m benchmarks.answers {{ARGS}}

# Rewrite generated files: .env.example, docs/openapi.json, docs/calculators.md
generate:
    uv run python -m tests.house.generated

# Format the code and mend what the linter can mend
format:
    uv run ruff check --fix-only .
    uv run ruff format .

# A new migration from the difference between models and an upgraded database
migration MESSAGE:
    uv run python -m tests.house.new_migration "{{MESSAGE}}"

# Start everything on this computer
up *ARGS:
    uv run ai-investment up {{ARGS}}
