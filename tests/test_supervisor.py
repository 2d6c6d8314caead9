from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ai_investment.supervisor import tell_ready


@pytest.mark.parametrize("abstract", [False, True])
def test_a_supervisor_that_asked_is_told(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind("\0" + name if abstract else name)
        supervisor.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
        tell_ready()
        assert supervisor.recv(100) == b"READY=1"


def test_without_a_supervisor_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_ready()
