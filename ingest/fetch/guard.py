"""Which addresses may be dialled: public ones, whatever they are wrapped in, and those that the settings allow."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ingest.settings import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Python's own tables differ between versions and call some of these global; each is named here on purpose.
_REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host: Linux takes 0.0.0.0 for 127.0.0.1
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; clouds put metadata services there
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, 169.254.169.254 among them
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # protocols' own, Teredo among them (which is unwrapped first)
        "2001:db8::/32",
        "3fff::/20",
    )
)
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that has been given out
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def unwrapped(address: Address) -> list[Address]:
    """The addresses that a packet to `address` may end at: itself, or those that stand inside it (IPv4-mapped and
    -compatible, 6to4, NAT64, Teredo's server and client)."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]


def may_dial(address: str, allowed: Sequence[Network]) -> bool:
    """Whether a connection to this address, as a resolver wrote it, is allowed. Nonsense is not."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        return False  # an address that means something on one link only
    return all(_is_public(inner) or _within(inner, allowed) for inner in unwrapped(parsed)) or _within(parsed, allowed)


def _is_public(address: Address) -> bool:
    if not address.is_global or _within(address, _REFUSED):
        return False
    return address.version == 4 or address in _UNICAST


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
