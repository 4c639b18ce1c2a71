"""A URL from a stored secret reaches the hosts of its tool at public addresses, and nothing else."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tolstoy_operator.domain.endpointpolicy import (
    Endpoint,
    EndpointNotAllowed,
    EndpointPolicy,
    check_address,
    check_url,
    is_public,
    parse_networks,
)

POLICY = EndpointPolicy(hosts=("login.example.com", "*.okta.com", "idp.example.net:8443"))


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://login.example.com/token", "login.example.com", 443, "/token"),
        ("https://login.example.com", "login.example.com", 443, "/"),
        ("https://login.example.com?tenant=a&b=%2F", "login.example.com", 443, "/?tenant=a&b=%2F"),
        ("https://login.example.com:443/token", "login.example.com", 443, "/token"),
        ("HTTPS://LOGIN.Example.COM/Token", "login.example.com", 443, "/Token"),
        ("https://acme.okta.com/oauth2/v1/token", "acme.okta.com", 443, "/oauth2/v1/token"),
        ("https://a.b.okta.com/t", "a.b.okta.com", 443, "/t"),
        ("https://idp.example.net:8443/t", "idp.example.net", 8443, "/t"),
    ],
)
def test_allowed(url: str, host: str, port: int, target: str) -> None:
    assert check_url(url, POLICY) == Endpoint("https", host, port, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example.com/token",
        "//login.example.com/token",
        "http://login.example.com/token",
        "file:///etc/passwd",
        "gopher://login.example.com/",
        "javascript:alert(1)",
        "https://evil.example/token",
        "https://login.example.com.evil.example/token",
        "https://evil-login.example.com/token",
        "https://okta.com/token",
        "https://evilokta.com/token",
        "https://.okta.com/token",
        "https://a..okta.com/token",
        "https://login.example.com./token",
        "https://user:pw@login.example.com/token",
        "https://login.example.com@evil.example/token",
        "https://evil.example\\@login.example.com/token",
        "https://evil.example#@login.example.com/token",
        "https://login.example.com/@evil.example/token",
        "https://login.example.com/token#fragment",
        "https://login.example.com\\.evil.example/token",
        "https://login.example.com%2eevil.example/token",
        "https://login.example%2ecom/token",
        "https://login.example.com%00.evil.example/token",
        "https://login.example.com:8443/token",
        "https://login.example.com:80/token",
        "https://login.example.com:/token",
        "https://login.example.com:0443443/token",
        "https://login.example.com:443:443/token",
        "https://idp.example.net/t",
        "https://login.example.com/to ken",
        "https://login.example.com/token\r\nHost: evil.example",
        " https://login.example.com/token",
        "https://login.example.com/token\n",
        "https://l\u043egin.example.com/token",
        "https://login。example。com/token",
        "https://LOGİN.example.com/token",
        "https://127.0.0.1/token",
        "https://2130706433/token",
        "https://0x7f000001/token",
        "https://0177.0.0.1/token",
        "https://127.1/token",
        "https://[::1]/token",
        "https://[::ffff:127.0.0.1]/token",
        "https://[login.example.com]/token",
        "https://login.example.com/" + "a" * 2048,
        "https://" + "a" * 64 + ".okta.com/token",
        "https:login.example.com/token",
        "https:/login.example.com/token",
        "https:///login.example.com/token",
        "https://localhost/token",
        "https://kubernetes.default.svc/token",
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(EndpointNotAllowed):
        check_url(url, POLICY)


def test_a_list_with_an_address_in_it_does_not_come_about() -> None:
    for pattern in (
        "127.0.0.1",
        "*",
        "*.com",
        "*.*.com",
        "Login.example.com",
        "a:0",
        "a:99999",
        "a:x",
        "",
        "https://a.b",
    ):
        with pytest.raises(ValueError, match=r"host name|port"):
            EndpointPolicy(hosts=(pattern,))


@pytest.mark.parametrize("text", ["", "idp:8080", "http://IDP:8080", "http://idp/", "https://idp:443", "http://u@idp"])
def test_origins_that_match_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a scheme, a host and a port"):
        EndpointPolicy(origins=frozenset({text}))


def test_an_empty_list_refuses_everything() -> None:
    with pytest.raises(EndpointNotAllowed):
        check_url("https://login.example.com/token", EndpointPolicy())


@pytest.mark.parametrize(
    "url", ["https://tok3n@login.example.com/", "https://s3cret-t0ken/", "http://a.b/?code=s3cret"]
)
def test_a_refusal_shows_no_more_than_the_host(url: str) -> None:
    with pytest.raises(EndpointNotAllowed) as caught:
        check_url(url, POLICY)

    assert "tok3n" not in str(caught.value)
    assert "code=" not in str(caught.value)


def test_an_exact_origin_skips_the_rules() -> None:
    policy = EndpointPolicy(origins=frozenset({"http://127.0.0.1:8080", "https://[::1]:8443"}))

    endpoint = check_url("http://127.0.0.1:8080/token", policy)
    assert endpoint == Endpoint("http", "127.0.0.1", 8080, "/token", trusted=True)
    assert endpoint.url == "http://127.0.0.1:8080/token"
    assert check_address("127.0.0.1", endpoint, policy) == ip_address("127.0.0.1")
    assert check_url("https://[::1]:8443/token", policy).authority == "[::1]:8443"
    for other in ("http://127.0.0.1:8081/token", "https://127.0.0.1:8080/token", "http://127.0.0.1/token"):
        with pytest.raises(EndpointNotAllowed):
            check_url(other, policy)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "2606:4700::1111", "64:ff9b::1.1.1.1"],
)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "169.254.169.254", "172.16.0.1",
        "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:1.1.1.1", "::ffff:127.0.0.1",
        "::1.1.1.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1.1.1.1", "100::1", "2001::1",
        "2001:db8::1",
        "2002:7f00:1::", "2002:101:101::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
        "ff02::1", "2606:4700::1111%1", "5f00::1",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    endpoint = Endpoint("https", "login.example.com", 443, "/")
    assert not is_public(ip_address(address))
    with pytest.raises(EndpointNotAllowed):
        check_address(address, endpoint, POLICY)


def test_a_named_network_is_allowed_and_its_neighbour_is_not() -> None:
    endpoint = Endpoint("https", "login.example.com", 443, "/")
    policy = EndpointPolicy(networks=parse_networks(["10.1.0.0/16", "fd00::/8"]))

    assert check_address("10.1.2.3", endpoint, policy) == ip_address("10.1.2.3")
    assert check_address("fd00::1", endpoint, policy) == ip_address("fd00::1")
    for address in ("10.2.0.1", "fc00::1", "::ffff:10.1.2.3", "not an address"):
        with pytest.raises(EndpointNotAllowed):
            check_address(address, endpoint, policy)


@given(text=st.text(max_size=200) | st.from_regex(r"https://[\x00-\x7f]{0,80}login\.example\.com[\x00-\x7f]{0,40}"))
def test_whatever_passes_is_read_the_same_by_another_parser(text: str) -> None:
    try:
        endpoint = check_url(text, POLICY)
    except EndpointNotAllowed:
        return
    other = urlsplit(text)
    assert other.scheme == "https"
    assert other.username is None
    assert other.hostname == endpoint.host
    assert (other.port or 443) == endpoint.port
    assert endpoint.host in {"login.example.com", "idp.example.net"} or endpoint.host.endswith(".okta.com")
