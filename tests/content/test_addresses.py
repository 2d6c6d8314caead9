"""Which URLs may be fetched, and which are one and the same page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_investment.content.sources.addresses import check_url, is_public, normal_url, same_site
from ai_investment.content.sources.fetching import Refused

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2001::1",
    "2001:db8::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_everybodys_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_address_in_ipv6_clothes_is_judged_by_what_it_is(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))
    assert not is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "http"),
        ("gopher://example.org/", "http"),
        ("//example.org/", "http"),
        ("http://", "http"),
        ("http://user@example.org/", "user name"),
        ("http://example.org:22/", "Port 22"),
        ("http://example.org:99999/", "well formed"),
        ("http://exa mple.org/", "well formed"),
        ("http://example.org\\@10.0.0.1/", "well formed"),
        ("http://example.org/\r\nX: y", "well formed"),
        ("http://[::1]/", "not public"),
        ("http://[::ffff:7f00:1]/", "not public"),
        ("http://169.254.169.254/latest/meta-data/", "not public"),
        ("http://" + "a" * 3000, "well formed"),
        ("http://[half/", "well formed"),
    ],
)
def test_urls_that_are_refused_before_anything_is_asked(url: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        check_url(url)


def test_an_operator_may_open_a_private_host_and_port() -> None:
    check_url("http://10.0.0.5:8080/a", frozenset({"10.0.0.5:8080"}))
    with pytest.raises(Refused):
        check_url("http://10.0.0.5:8081/a", frozenset({"10.0.0.5:8080"}))


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Example.ORG", "https://example.org/"),
        ("https://example.org:443/a#part", "https://example.org/a"),
        ("http://example.org:8080/a", "http://example.org:8080/a"),
        ("https://example.org/a?utm_source=x&id=7&fbclid=2", "https://example.org/a?id=7"),
        ("https://example.org/a?b=%20c", "https://example.org/a?b=%20c"),
        ("https://example.org/caf%C3%A9", "https://example.org/caf%C3%A9"),
        ("https://example.org/café", "https://example.org/caf%C3%A9"),
    ],
)
def test_all_spellings_of_a_page_are_one(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal


def test_the_www_of_a_site_is_the_site_and_another_host_is_not() -> None:
    assert same_site("https://www.example.org/a", "https://example.org/b")
    assert not same_site("https://example.org/a", "https://example.org.evil.net/a")
