"""`ai-investment up` as a person runs it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.installation import PROGRAM, clean_environment
from tests.services import Process, free_port, wait_until


class Up:
    """A running `up` in a folder."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.process = Process([*PROGRAM, "up", "--data", str(folder)], log)

    def ready(self) -> str:
        wait_until(
            lambda: "Ready in" in self.process.text() or self.process.popen.poll() is not None,
            "ready",
            100,
        )
        text = self.process.text()
        assert "Ready in" in text, text
        return next(word for word in text.split() if word.startswith("http://"))

    def environment(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "embedded.json").read_text()))

    def children(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.popen.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(line) for line in found.stdout.split()]


def run(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], env=clean_environment(env), cwd=cwd, capture_output=True, text=True, timeout=110, check=False
    )  # fmt: skip


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up") / "data"
    running = Up(folder, folder.parent / "up.log")
    running.ready()
    yield running
    running.process.stop(60)


def test_it_prints_where_it_listens_and_how_to_ask(up: Up) -> None:
    url = up.ready()
    assert httpx.get(f"{url}/health", trust_env=False).is_success
    assert 'ai-investment ask "What is an ETF?"' in up.process.text()


def test_a_question_is_answered_with_sources_that_open(up: Up) -> None:
    shown = run("ask", "What is an ETF?", "--data", str(up.folder))
    assert shown.returncode == 0, shown.stderr
    assert "exchange-traded fund" in " ".join(shown.stdout.split())
    assert "[1] What is an ETF? (Starter library)" in shown.stdout
    passage = next(word for word in shown.stdout.split() if "/passages/" in word)
    assert httpx.get(up.ready() + passage, trust_env=False).json()["title"] == "What is an ETF?"


def test_json_is_for_programs(up: Up) -> None:
    answer = json.loads(run("ask", "What is a bond?", "--data", str(up.folder), "--json").stdout)
    assert answer["outcome"] == "answered"


def test_the_starter_library_is_there_once_however_often_it_is_loaded(up: Up) -> None:
    loaded = run("ingest", "--starter-library", "--data", str(up.folder), "--json")
    outcomes = json.loads(loaded.stdout)
    assert len(outcomes) > 20
    assert {item["outcome"] for item in outcomes} == {"unchanged"}
    neither = run("ingest", "--data", str(up.folder))
    assert neither.returncode == 2
    assert "Give a PATH or --starter-library" in neither.stderr


def test_doctor_finds_everything_well(up: Up) -> None:
    found = run("doctor", "--data", str(up.folder), "--json")
    assert found.returncode == 0, found.stdout
    assert {item["what"] for item in json.loads(found.stdout)} >= {
        "settings",
        "database",
        "redis",
        "workers",
        "vector store",
    }


def test_a_second_up_in_the_same_folder_says_so_and_exits_2(up: Up) -> None:
    second = run("up", "--data", str(up.folder))
    assert second.returncode == 2
    assert "already running" in second.stderr
    assert up.ready() in second.stderr
    assert second.stderr.count("\n") == 1


def test_nothing_listens_on_other_addresses_than_loopback(up: Up) -> None:
    ports = {int(up.environment()["API_PORT"])}
    for name in ("REDIS_URL", "CHROMA_URL"):
        ports.add(httpx.URL(up.environment()[name]).port or 0)
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    addresses = [line.split()[1] for line in listening if line.split()[3] == "0A"]
    ours = {
        address.split(":")[0] for address in addresses if int(address.split(":")[1], 16) in ports
    }
    assert ours == {"0100007F"}


def test_secrets_are_readable_by_their_owner_only_and_on_no_command_line(up: Up) -> None:
    environment = up.environment()
    assert (up.folder / "embedded.json").stat().st_mode & 0o077 == 0
    assert (up.folder / "redis" / "redis.conf").stat().st_mode & 0o077 == 0
    commands = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    for name in ("SECRET_KEY", "REDIS_PASSWORD"):
        assert environment[name] not in commands


def test_a_killed_child_is_started_again(up: Up) -> None:
    before = set(up.children())
    redis = int(subprocess.run(
        ["pgrep", "-P", str(up.process.popen.pid), "-f", "redis-server"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    subprocess.run(["kill", "-9", str(redis)], check=True)
    wait_until(
        lambda: len(up.children()) == len(before) and redis not in up.children(),
        "a new redis-server",
    )
    assert "redis ended with -9; starting it again" in up.process.text()
    assert run("ask", "What is a share?", "--data", str(up.folder)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_child_and_the_next_start_finds_its_data(
    up: Up, number: signal.Signals
) -> None:
    asked = json.loads(run("jobs", "list", "--data", str(up.folder), "--json").stdout)
    children = up.children()
    assert len(children) == 8
    up.process.popen.send_signal(number)
    assert up.process.popen.wait(60) == 0
    for child in children:
        assert not Path(f"/proc/{child}").exists()
    again = Up(up.folder, up.process.log.with_suffix(f".{number.name}"))
    again.ready()
    up.process = again.process
    assert json.loads(run("jobs", "list", "--data", str(up.folder), "--json").stdout) == asked


def test_check_asks_one_question_and_stops(tmp_path: Path) -> None:
    checked = run("up", "--check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "Ready in" in checked.stdout
    assert "What is an ETF?" in checked.stdout
    assert "/api/v1/content/passages/pas_" in checked.stdout
    assert (tmp_path / "data" / "ai-investment.db").exists()


def test_a_taken_port_is_one_readable_line_and_exit_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for attempt in (
            run("up", "--port", port, cwd=tmp_path),
            run("up", cwd=tmp_path, API_PORT=port),
        ):
            assert attempt.returncode == 2
            assert f"port {port} is taken" in attempt.stderr
            assert attempt.stderr.count("\n") == 1
    assert not (tmp_path / "data" / "ai-investment.db").exists()


def test_an_unknown_setting_is_one_readable_line_and_exit_2(tmp_path: Path) -> None:
    for command in (["up"], ["serve"], ["worker", "answers"], ["db", "upgrade"]):
        attempt = run(*command, cwd=tmp_path, AI_INVESTMENT_COLOUR="red")
        assert attempt.returncode == 2, command
        assert "AI_INVESTMENT_COLOUR: unknown setting" in attempt.stderr
        assert "Traceback" not in attempt.stderr


def test_asking_without_a_server_says_what_to_do(tmp_path: Path) -> None:
    nothing = run("ask", "What is an ETF?", cwd=tmp_path)
    away = run(
        "ask", "What is an ETF?", cwd=tmp_path, AI_INVESTMENT_URL=f"http://127.0.0.1:{free_port()}"
    )
    for attempt in (nothing, away):
        assert attempt.returncode == 1
        assert "ai-investment up" in attempt.stderr
        assert attempt.stderr.count("\n") == 1


def test_doctor_names_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    found = run("doctor", "--json", cwd=tmp_path, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0",
                DATABASE_URL=f"sqlite:///{tmp_path}/none.db")  # fmt: skip
    assert found.returncode == 1
    findings = {item["what"]: item for item in json.loads(found.stdout)}
    assert not findings["redis"]["fine"]
    assert "REDIS_URL" in findings["redis"]["advice"]
    assert "db upgrade" in findings["database"]["advice"]


def test_db_upgrade_and_check_say_where_the_database_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert run("db", "check", DATABASE_URL=url).returncode == 1
    assert "(was empty)" in run("db", "upgrade", DATABASE_URL=url).stdout
    assert "already" in run("db", "upgrade", DATABASE_URL=url).stdout
    assert run("db", "check", DATABASE_URL=url).returncode == 0
    unreachable = run(
        "db", "upgrade", DATABASE_URL=f"postgresql://x:hidden@127.0.0.1:{free_port()}/y"
    )
    assert unreachable.returncode == 1
    assert "hidden" not in unreachable.stderr
    assert unreachable.stderr.count("\n") == 1


def test_every_command_explains_itself() -> None:
    for command in (
        "up",
        "serve",
        "worker",
        "ask",
        "ingest",
        "db",
        "keys",
        "jobs",
        "doctor",
        "openapi",
    ):
        shown = run(command, "--help")
        assert shown.returncode == 0
        assert len(shown.stdout.splitlines()) > 3
    assert run("nonsense").returncode == 2
