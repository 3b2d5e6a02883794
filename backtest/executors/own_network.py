"""A network of a process's own: Linux gives it an empty network namespace, where nothing but the process and its children
can be reached, and whoever is there reaches nothing else. Needs no program and no library, so that it is entered first.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

# Names of <linux/sched.h>, <linux/sockios.h> and <linux/if.h>, which Python 3.11 does not know.
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def entered() -> bool:
    """Leave the machine's network for an empty one with a loopback of its own; False where that is not permitted, and nothing
    has changed then. Root may; others may where the system lets them have user namespaces, and only before a process has
    a second thread."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        if libc.unshare(_CLONE_NEWNET):
            if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
                return False
            _keep_who_this_is(user, group)
        _loopback_up()
    except (OSError, AttributeError):  # no Linux
        return False
    return True


def _keep_who_this_is(user: int, group: int) -> None:
    own = Path("/proc/self")
    with contextlib.suppress(OSError):  # older kernels ask for no promise
        (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(f"{user} {user} 1")
    (own / "gid_map").write_text(f"{group} {group} 1")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
