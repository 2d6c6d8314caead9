"""A real systemd host for deployment tests: Debian in systemd-nspawn, reached by SSH.

Needs root on Linux and Debian's packages debootstrap, systemd-container, iptables, openssh-client.
The base system is built once and kept in `CACHE`; every machine is a fresh copy of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.services import wait_until

CACHE = Path(os.environ.get("AI_DEPLOY_CACHE") or Path.home() / ".cache" / "ai-investment-deploy")
_SUITE = "bookworm"
_MIRROR = os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org/debian")
_PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,python3,sudo,ca-certificates,"
    "iproute2,procps"
)
_APT = f"""\
deb {_MIRROR} {_SUITE} main
deb {_MIRROR} {_SUITE}-updates main
deb {_MIRROR}-security {_SUITE}-security main
"""
_NETWORK = """\
[Match]
Virtualization=container
Name=host0

[Network]
Address={guest}/24
Gateway={host}
DHCP=no
LinkLocalAddressing=no
"""


def run(*command: str | Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Run to the end; AssertionError with the output when it fails."""
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, check=False, **kwargs)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{words}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done  # type: ignore[no-any-return]


def base_system() -> Path:
    """The folder of an untouched Debian, made on the first call (about a minute)."""
    root = CACHE / _SUITE
    if not root.exists():
        partial = CACHE / f"{_SUITE}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, partial, _MIRROR)
        partial.rename(root)
    return root


class Machine:
    """One host. It has an address on a network of its own, and the way out that this machine has."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.gateway, self.address = f"10.99.{number}.1", f"10.99.{number}.2"
        self.root = CACHE / "machines" / name
        self.key = CACHE / "id_ed25519"
        self._link = Path("/sys/class/net") / f"ve-{name}"[:15]
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Start from the untouched base system; what an earlier run left is gone."""
        if self._link.exists():
            self.stop()
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", "--reflink=auto", base_system(), self.root)
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        self._write("etc/apt/sources.list", _APT)
        self._write(
            "etc/systemd/network/10-host0.network",
            _NETWORK.format(guest=self.address, host=self.gateway),
        )
        self._write("root/.ssh/authorized_keys", self.key.with_suffix(".pub").read_text())
        (self.root / "root/.ssh").chmod(0o700)
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        self._write("etc/resolv.conf", Path("/etc/resolv.conf").read_text())
        self._trust_what_we_trust()
        for unit in ("systemd-networkd", "ssh"):
            run("systemctl", f"--root={self.root}", "enable", unit)

    def start(self) -> None:
        """Boot, give the network its other end, wait for SSH."""
        log = (CACHE / "machines" / f"{self.name}.log").open("wb")
        command = ["systemd-nspawn", "-D", self.root, "-M", self.name, "--register=no", "--keep-unit",
                   "--network-veth", "--console=read-only", "--resolv-conf=off", "--boot",
                   *self._kept_downloads()]  # fmt: skip
        self._process = subprocess.Popen(
            list(map(str, command)), stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        wait_until(self._link.exists, "the network link")
        run("ip", "address", "replace", f"{self.gateway}/24", "dev", self._link.name)
        run("ip", "link", "set", self._link.name, "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self._way_out("-I")
        wait_until(self._answers, "SSH", 90)

    def stop(self) -> None:
        """Power off, as by its switch when it does not hear us."""
        self.ssh("systemctl poweroff", check=False)
        try:
            wait_until(lambda: not self._link.exists(), "the power to go off", 60)
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.wait(10)
                self._process = None
            self._way_out("-D")

    def ssh(self, command: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a shell command there as root."""
        words = ["ssh", *self.ssh_options(), f"root@{self.address}", command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def ssh_options(self) -> Sequence[str]:
        return (
            "-i", str(self.key), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5",
        )  # fmt: skip

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the machine did not boot"
        return self.ssh("true", check=False).returncode == 0

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def _trust_what_we_trust(self) -> None:
        """Certificates that this machine's administrator added (a mirror behind a proxy has one)."""
        for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
            shutil.copy(certificate, self.root / "usr/local/share/ca-certificates")
        run("chroot", self.root, "update-ca-certificates")

    def _kept_downloads(self) -> list[str]:
        """Package caches shared by all machines of all runs."""
        binds = []
        for name, inside in (("apt", "/var/cache/apt/archives"), ("uv", "/var/cache/uv")):
            (CACHE / name).mkdir(exist_ok=True)
            (self.root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
            binds.append(f"--bind={CACHE / name}:{inside}")
        return binds

    def _way_out(self, change: str) -> None:
        """Its packets leave by this computer's own address, also beside a container engine; -I or -D."""
        rules = (
            f"-t nat {change} POSTROUTING -s {self.address} ! -d 10.99.0.0/16 -j MASQUERADE",
            f"-t filter {change} FORWARD -s {self.address} -j ACCEPT",
            f"-t filter {change} FORWARD -d {self.address} -j ACCEPT",
        )
        for rule in rules:
            subprocess.run(["iptables", "-w", *rule.split()], check=change == "-I")
