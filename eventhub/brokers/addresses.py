"""Which addresses a broker may have: decided after the name is resolved, before connecting.

A person who configures a source chooses where EventHub connects to. Cloud metadata services
answer on link-local and a few other fixed addresses and hand out credentials: those are always
denied. `EVENTHUB_BROKER_DENY` and `EVENTHUB_BROKER_ALLOW` (networks in CIDR notation, separated
by commas) narrow it further; a denied address stays denied when it is also allowed.
"""

import ipaddress
import os
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Final

from eventhub.brokers.errors import NotConnected, PermanentFailure

__all__ = ["check_address"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ALWAYS_DENIED: Final[tuple[_Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",  # IPv4 link-local: AWS, Azure, Google, DigitalOcean, OpenStack
        "fe80::/10",  # IPv6 link-local
        "fd00:ec2::/32",  # AWS over IPv6, fd00:ec2::254 among others
        "fd20:ce::254/128",  # Google over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure's host agent
        "192.0.0.192/32",  # Oracle Cloud
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def check_address(host: str, port: int, seconds: float = 5.0) -> list[str]:
    """The addresses that `host` resolves to, each of them allowed.

    Connect to one of these rather than to the name: a second look-up may answer otherwise.
    Raises NotConnected when the name does not resolve within `seconds` (a name server may come
    back) and PermanentFailure when any of its addresses is denied, or the host is no name at all.
    """
    addresses = _resolve_within(seconds, host, port)
    allowed = _networks("EVENTHUB_BROKER_ALLOW")
    denied = (*_ALWAYS_DENIED, *_networks("EVENTHUB_BROKER_DENY"))
    for text in addresses:
        for address in _meanings(text):
            _refuse_denied(host, address, denied)
            if allowed and not _in_any(address, allowed):
                raise PermanentFailure(
                    f"{_both(host, address)} is not among the addresses allowed for brokers.",
                    way_out="EVENTHUB_BROKER_ALLOW lists the networks that are allowed.",
                )
    return addresses


def _resolve_within(seconds: float, host: str, port: int) -> list[str]:
    """The system's look-up takes no time limit, so it runs in a thread that is left behind."""
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found.set_result(_resolve(host, port))
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True, name=f"look up {host}").start()
    try:
        return found.result(seconds)
    except TimeoutError as error:
        raise NotConnected(
            f"No name server says within {seconds:g} s what {host!r} is.",
            way_out="Check this machine's name servers.",
        ) from error


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NotConnected(
            f"The host name {host!r} cannot be resolved ({error.strerror}).",
            way_out="Check the spelling, and that this machine's name server knows the name.",
        ) from error
    except (UnicodeError, OverflowError, ValueError) as error:
        raise PermanentFailure(
            f"{host!r} with port {port} is no address.",
            way_out="Give a host name or an IP address, and a port from 1 to 65535.",
        ) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _meanings(text: str) -> list[_Address]:
    """The address, and the IPv4 address that it carries inside, if it does."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [address, *(each for each in inner if each is not None)]


def _refuse_denied(host: str, address: _Address, denied: Iterable[_Network]) -> None:
    if _in_any(address, _ALWAYS_DENIED):
        raise PermanentFailure(
            f"{_both(host, address)} is a link-local or cloud metadata address, never a broker.",
            way_out="Give the broker's own address.",
        )
    if _in_any(address, denied):
        raise PermanentFailure(
            f"{_both(host, address)} is an address that brokers may not have here.",
            way_out="EVENTHUB_BROKER_DENY lists the networks that are denied.",
        )


def _networks(variable: str) -> list[_Network]:
    texts = [text.strip() for text in os.environ.get(variable, "").split(",") if text.strip()]
    try:
        return [ipaddress.ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        # A list that cannot be read must not mean "everything is allowed".
        raise PermanentFailure(
            f"{variable} has an entry that is no network: {error}.",
            way_out="Write networks as 10.0.0.0/8, separated by commas, and restart EventHub.",
        ) from error


def _in_any(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(address in network for network in networks)


def _both(host: str, address: _Address) -> str:
    return str(address) if host == str(address) else f"{host} is {address}, which"
