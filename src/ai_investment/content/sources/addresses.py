"""Which addresses may be fetched, and when two URLs are one."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ai_investment.content.sources.fetching import Refused

PORTS = {"http": 80, "https": 443}
_LONGEST = 2000

# Beyond what `is_global` leaves out in every Python we run on: Azure's host services, addresses that
# carry an IPv4 address to a translator (NAT64, 6to4, Teredo, IPv4-compatible), old site-local ones.
_FORBIDDEN = [
    ip_network(network)
    for network in (
        "168.63.129.16/32", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b::/96",
        "64:ff9b:1::/48", "2002::/16", "2001::/23", "::/96", "fec0::/10", "100::/64", "5f00::/16",
    )
]  # fmt: skip
# Parameters that name a campaign or a click and not a page.
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|msclkid|mc_cid|mc_eid|_ga|igshid|ref_src", re.I)


def is_public(address: str) -> bool:
    """Whether an IP address is one that everybody on the Internet may reach; False for no address."""
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed.is_multicast or not parsed.is_global or parsed.is_reserved:
        return False
    return not any(parsed.version == net.version and parsed in net for net in _FORBIDDEN)


def check_url(url: str, private_hosts: frozenset[str] = frozenset()) -> None:
    """Raise Refused for a URL that cannot be fetched, whatever its name resolves to.

    `private_hosts` are the `host:port` an operator has opened. What a name resolves to is checked when
    it is connected to, and only there.
    """
    if len(url) > _LONGEST or re.search(r"[\s\x00-\x1f\x7f\\]", url):
        raise Refused("The URL is not well formed.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError as cause:
        raise Refused("The URL is not well formed.") from cause
    if parts.scheme not in PORTS or not host:
        raise Refused("Only http:// and https:// URLs can be fetched.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The URL holds a user name; such pages are not fetched.")
    check_port(host, port, private_hosts)
    try:
        ip_address(host)
    except ValueError:
        return
    if not is_public(host) and f"{host}:{port}" not in private_hosts:
        raise Refused("The URL leads to an address that is not public.")


def check_port(host: str, port: int, private_hosts: frozenset[str]) -> None:
    if port not in PORTS.values() and f"{host}:{port}" not in private_hosts:
        raise Refused(f"Port {port} is not one that web pages are fetched from (80 and 443 are).")


def normal_url(url: str) -> str:
    """One spelling for all URLs of a page: no fragment, tracking parameters or default port."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if ":" in host:
        host = f"[{host}]"
    if parts.port and parts.port != PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not _TRACKING.fullmatch(name)]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return f"{parts.scheme.lower()}://{host}{path}" + (f"?{query}" if query else "")


def same_site(one: str, other: str) -> bool:
    """Whether two URLs are on one host, `www.` aside."""
    hosts = [(urlsplit(url).netloc).lower().removeprefix("www.") for url in (one, other)]
    return hosts[0] == hosts[1]
