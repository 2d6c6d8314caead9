"""Telling the service manager that a process is ready (systemd's `Type=notify`)."""

from __future__ import annotations

import os
import socket


def tell_ready() -> None:
    """Say READY to the supervisor that asked for it through NOTIFY_SOCKET; without one, nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading "@" stands for the zero byte of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"READY=1", target)
