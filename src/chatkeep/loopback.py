"""Which addresses only this machine reaches."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or address (no port) means this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_other_machine(host: str) -> bool:
    """Whether this is the address of another machine; what is no address is not."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
