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
    UV_PROJECT_ENVIRONMENT=.venv-ansible uv sync --quiet --locked --only-group ansible
    uv run --group deploy pytest -n 2 --dist loadfile --no-loadscope-reorder {{ARGS}}

# Debian packages that tests use: redis-server, PostgreSQL, Nginx, Prometheus
setup:
    ./scripts/setup

# Manifests, Compose, clouds and CI; every mutant of every environment
test-manifests *ARGS: setup
    uv run --group deploy pytest tests/manifests {{ARGS}}

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
# Fit when to abstain on benchmarks/retrieval, into src/ai_investment/content/answerable.json
tune-abstention *ARGS:
    uv run python -m benchmarks.retrieval.tune {{ARGS}}

# What each part of retrieval finds on benchmarks/retrieval, into docs/evaluation.md
eval-retrieval *ARGS:
    uv run python -m benchmarks.retrieval.quality {{ARGS}}

# How good the shipped answers are over our own prompts, into docs/evaluation.md
eval-answers:
    uv run python -m benchmarks.answers.quality

# Answers from accepted to done over 5,000 passages, the worker's memory, the first sentence of a stream
bench-answers *ARGS: setup
    uv run python -m benchmarks.answers {{ARGS}}

# Searches over HTTP at so many passages (--passages N --json F), and the memory of who answers them
bench-search *ARGS: setup
    uv run python -m benchmarks.search {{ARGS}}

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

# The hosts of ansible/inventories/ENV, from an empty Debian or to this source, without a failed request
deploy ENV *ARGS:
    release=$(./scripts/release); ./scripts/on-hosts {{ENV}} site.yml -e app_release="$release" -e release_folder="$PWD/dist/releases/$release" {{ARGS}}

# Back to the release that served before, by the same steps
rollback ENV *ARGS:
    ./scripts/on-hosts {{ENV}} rollback.yml {{ARGS}}

# Back up every store of ENV now (a timer does it each night)
backup ENV *ARGS:
    ./scripts/on-hosts {{ENV}} backup.yml {{ARGS}}

# Put every store of ENV back to a backup: a name that `just status` lists, or latest
restore SNAPSHOT ENV *ARGS:
    ./scripts/on-hosts {{ENV}} restore.yml -e snapshot={{SNAPSHOT}} {{ARGS}}

# Restore the newest backup into a scratch place, compare every row and file, ask a question of it
drill ENV *ARGS:
    ./scripts/on-hosts {{ENV}} drill.yml {{ARGS}}

# What serves, what runs, what is backed up, what alerts
status ENV *ARGS:
    ./scripts/on-hosts {{ENV}} status.yml {{ARGS}}

# Random secrets for ansible/inventories/ENV, encrypted
secrets ENV:
    ./scripts/new-secrets {{ENV}}

# Real systemd hosts on this machine: deploy, update under load, fail, roll back, restore (root; docs/operations.md)
test-deploy *ARGS: setup
    ./scripts/setup-deploy
    DEPLOY_BENCH=1 uv run pytest tests/deploy/live --timeout 3600 {{ARGS}}
