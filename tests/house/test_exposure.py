from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.house.exposure import PUBLIC, main, problems, shipped

CASE = Path(__file__).parents[1] / "cases" / "ops-ufw-docker"


def test_a_compose_file_that_opens_redis_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    expected = json.loads((CASE / "expected.json").read_text())
    assert main([str(CASE / "compose-bad.yaml")]) == 1
    assert expected["compose-bad"] == "refused: redis 6379"
    assert problems(CASE / "compose-bad.yaml") == ["redis 6379"]
    assert "redis 6379" in capsys.readouterr().out
    assert sorted(map(int, PUBLIC)) == expected["public_ports_allowed"]


def test_everything_shipped_opens_nothing_but_the_proxy() -> None:
    names = {path.name for path in shipped()}
    assert {"compose.yaml", "compose.prod.yaml", "roll"} <= names
    assert {path: found for path in shipped() if (found := problems(path))} == {}


@pytest.mark.parametrize(
    ("port", "found"),
    [
        ('"6379:6379"', "6379"),
        ("6379", "6379"),
        ('"0.0.0.0:6379:6379/tcp"', "6379"),
        ('"[::]:16379:6379"', "16379"),
        ('"6379-6380:6379-6380"', "6379-6380"),
        ('"${REDIS_ADDRESS}:6379:6379"', "6379"),
        ('"${REDIS_ADDRESS:-0.0.0.0}:6379:6379"', "6379"),
        ("{target: 6379, published: '7000'}", "7000"),
        ("{target: 6379, published: '7000', host_ip: 10.0.0.4}", "7000"),
        ('"80:6379"', "80"),
    ],
)
def test_every_form_of_a_port_open_to_the_world_is_found(
    tmp_path: Path, port: str, found: str
) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(f"services:\n  redis:\n    image: redis:7\n    ports: [{port}]\n")
    assert problems(path) == [f"redis {found}"]


@pytest.mark.parametrize(
    "port",
    ['"127.0.0.1:6379:6379"', '"[::1]:6379:6379"', '"${A:-127.0.0.1}:${P:-6379}:6379"',
     "{target: 6379, published: '6379', host_ip: 127.0.0.1}"],
)  # fmt: skip
def test_loopback_is_no_world(tmp_path: Path, port: str) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(f"services:\n  redis:\n    image: redis:7\n    ports: [{port}]\n")
    assert problems(path) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("chroma.container", "[Container]\nImage=chroma\nPublishPort=8000:8000\n", "chroma 8000"),
        ("chroma.container.j2", "[Container]\nPublishPort={{ p }}:8000\n", "chroma {{"),
        ("api.container", "[Container]\nImage=api\nNetwork=host\n", "api the host's network"),
        ("nginx.container", "[Container]\nImage=nginx\nPublishPort=9113:9113\n", "nginx 9113"),
        ("run", "docker run -d \\\n  -p 5432:5432 postgres:17\n", "run 5432"),
        ("start.service.j2", "ExecStart=podman run --publish=9090:9090 api", "start.service 9090"),
        (
            "main.yml",
            "- containers.podman.podman_container:\n    name: redis\n    image: redis\n    ports: ['6379:6379']\n",
            "redis 6379",
        ),
        (
            "compose.yaml.j2",
            "services:\n{% for n in workers %}\n  postgres:\n    image: '{{ image }}'\n    ports: ['5432:5432']\n{% endfor %}\n",
            "postgres 5432",
        ),
        ("pod.yaml", "spec: {containers: [{name: redis, image: r, ports: [{containerPort: 1, hostPort: 6379}]}]}", "redis 6379"),
        ("c.yaml.j2", "ports:\n  {{ x }}: {% if a %}\n - '5432:5432'\n - '127.0.0.1:1:1'\n", "c.yaml 5432"),
        ("compose.yaml", "services:\n  api:\n    image: a\n    network_mode: host\n", "api the host's network"),
    ],
)  # fmt: skip
def test_quadlets_plays_units_and_scripts_are_read_too(
    tmp_path: Path, name: str, text: str, found: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert problems(path) == [found]


def test_the_proxy_may_open_the_web_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(
        "services:\n  edge:\n    image: docker.io/library/nginx:1\n"
        "    ports: ['80:8080', '443:8443/tcp', '443:8443/udp', '8081:8081']\n"
    )
    assert problems(path) == ["edge 8081"]
