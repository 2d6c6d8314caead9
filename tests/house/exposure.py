"""Which ports the shipped files open to the world: container engines put their own rules before a firewall's.

Only a reverse proxy may publish, and only 80 and 443; everything else stays on loopback or unpublished.
`python -m tests.house.exposure [FILE…]` prints what breaks that, for the given files or all that are shipped.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PUBLIC = frozenset({"80", "443"})
_PROXIES = re.compile(r"nginx|caddy|traefik|haproxy|envoy|proxy", re.IGNORECASE)
_PORT_KEYS = ("ports", "published_ports", "publish", "publish_ports")
_QUADLETS = (".container", ".pod", ".kube")
_RUN = re.compile(r"\b(?:docker|podman|nerdctl)\b[^\n]*?\b(?:run|create)\b(?P<options>[^\n]*)")
_PORT_LINE = re.compile(
    r"""^\s*-\s*['"]?((?:[\w.{}\[\] :$-]+:)?\d+:\d+(?:/\w+)?)['"]?\s*$""", re.MULTILINE
)
_OPTION = re.compile(r"(?:^|\s)(?:-p\s*|--publish[= ])['\"]?(?P<port>[^\s'\"]+)")


def shipped() -> list[Path]:
    """Every compose file, quadlet, unit, script, template and play of this repository."""
    found = [*ROOT.glob("*compose*.y*ml"), *ROOT.glob("scripts/*")]
    for folder in ("ansible", "gitops"):
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(found)


def problems(path: Path) -> list[str]:
    """One line for each port that is open to the world and must not be: `redis 6379`."""
    text = path.read_text("utf-8", "replace")
    name = path.name.removesuffix(".j2")
    found = list(_run_commands(name, text))
    if name.endswith(_QUADLETS):
        found += _quadlet(name.rsplit(".", 1)[0], text)
    elif name.endswith((".yaml", ".yml", ".json")):
        try:
            for document in yaml.load_all(_plain(text), Loader=_Tolerant):
                found += _walk(name.split(".")[0], document)
        except yaml.YAMLError:
            if not path.name.endswith(".j2"):
                raise
            # A template that is YAML only once it is filled: its lines that look like published ports.
            found += _ports(name, "", _PORT_LINE.findall(text))
    return found


def _run_commands(name: str, text: str) -> Iterator[str]:
    for command in _RUN.finditer(text.replace("\\\n", " ")):
        yield from _ports(name, command["options"], _OPTION.findall(command["options"]))
        if re.search(r"--net(?:work)?[= ]host\b", command["options"]):
            yield f"{name} the host's network"


def _quadlet(service: str, text: str) -> Iterator[str]:
    values = re.findall(r"^\s*(PublishPort|Network|Image)\s*=\s*(\S+)", text, re.MULTILINE)
    image = " ".join(value for key, value in values if key == "Image")
    yield from _ports(service, image, [value for key, value in values if key == "PublishPort"])
    if ("Network", "host") in values:
        yield f"{service} the host's network"


def _walk(name: str, node: Any) -> Iterator[str]:
    """Every mapping that publishes ports, be it a compose service or the arguments of an Ansible module."""
    if isinstance(node, list):
        for item in node:
            yield from _walk(name, item)
    if not isinstance(node, dict):
        return
    if "services" not in node and ("image" in node or "build" in node):
        service = str(node.get("name", name))
        for key in _PORT_KEYS:
            ports = node.get(key) or []
            yield from _ports(
                service, str(node.get("image", "")), ports if isinstance(ports, list) else [ports]
            )
        if "host" in (node.get("network_mode"), node.get("network"), node.get("net")):
            yield f"{service} the host's network"
    for key, value in node.items():
        yield from _walk(str(key), value)


def _ports(service: str, image: str, ports: list[Any]) -> Iterator[str]:
    is_proxy = bool(_PROXIES.search(service) or _PROXIES.search(image.rsplit("/", 1)[-1]))
    for port in ports:
        if isinstance(port, dict) and "containerPort" in port and "hostPort" not in port:
            continue  # Kubernetes: documented, not published
        address, published, target = _parts(port)
        if _is_loopback(address) or (is_proxy and published in PUBLIC):
            continue
        yield f"{service} {published or target}"


def _parts(port: Any) -> tuple[str, str, str]:
    """(address, published port or range, container's port) of compose's short or long form."""
    if isinstance(port, dict):
        return (
            _filled(port.get("host_ip", port.get("hostIP", ""))),
            _filled(port.get("published", port.get("hostPort", ""))),
            _filled(port.get("target", port.get("containerPort", ""))),
        )
    text = _filled(port).split("/")[0]
    if text.startswith("["):
        address, _, rest = text[1:].partition("]")
        text = rest.removeprefix(":")
    else:
        *head, last = text.split(":")
        address = ":".join(head[:-1])
        text = ":".join([*head[-1:], last])
    published, _, target = text.rpartition(":")
    return address, published, target


def _filled(value: Any) -> str:
    """Compose's variables by their defaults; one without a default may be anything."""
    return re.sub(r"\$\{\w+(?::?-([^}]*))?[^}]*\}", lambda match: match[1] or "?", str(value))


def _is_loopback(address: str) -> bool:
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


def _plain(text: str) -> str:
    """A Jinja template as YAML: an expression may be anything, a statement is no line."""
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", text, flags=re.DOTALL)
    return re.sub(r"\{\{.*?\}\}", "_", text, flags=re.DOTALL)


class _Tolerant(yaml.SafeLoader):
    """A safe loader that reads tags of compose and CloudFormation as what they are put on."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


_Tolerant.add_multi_constructor("!", _untagged)


def main(arguments: list[str]) -> int:
    failed = False
    for path in [Path(argument) for argument in arguments] or shipped():
        try:
            found = problems(path)
        except (OSError, yaml.YAMLError) as cause:
            found = [f"cannot be read: {type(cause).__name__}"]
        for problem in found:
            failed = True
            print(f"{path}: open to the world: {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
