"""Which hosts are this machine itself."""

from __future__ import annotations

import ipaddress


def loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own. A name that would have to be looked up is not."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
