"""Ceph's radosgw, a real S3 server, on loopback: one monitor, one object daemon in memory, one gateway."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.s3_kit import Bucketry

# Without authentication the messengers must be told to use plain mode, or the gateway waits for ever; without
# tcp_nodelay every small answer takes 40 ms.
CONFIG = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms client mode = crc
ms cluster mode = crc
ms service mode = crc
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
mon warn on pool no redundancy = false
osd crush chooseleaf type = 0
osd pool default pg autoscale mode = off
osd pool default pg num = 4
osd pool default pgp num = 4
osd objectstore = memstore
memstore device bytes = 1073741824
osd max object name len = 460
osd max object namespace len = 64
mon data avail crit = 1
mon data avail warn = 2
run dir = {folder}/run
admin socket = {folder}/run/$name.$pid.asok
log file = {folder}/log/$name.log
pid file = {folder}/run/$name.pid
mon data = {folder}/mon.$id
osd data = {folder}/osd.$id
[client.rgw.a]
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw data = {folder}/rgw.a
rgw thread pool size = 32
"""
PATIENCE_S = 120


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def tool(folder: Path, *command: str) -> str:
    """Run one of Ceph's tools to its end."""
    done = subprocess.run(
        command, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    """Where Ceph finds its configuration."""
    return {"PATH": os.environ["PATH"], "CEPH_CONF": str(folder / "ceph.conf")}


def answers(url: str) -> bool:
    """Whether the gateway serves."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True


@contextmanager
def radosgw(folder: Path) -> Iterator[Bucketry]:
    """The server, its daemons as children of this process, and a user."""
    v2, v1, port = free_ports(3)
    for name in ("mon.a", "osd.0", "log", "run", "rgw.a"):
        (folder / name).mkdir(parents=True)
    fsid = str(uuid.uuid4())
    (folder / "ceph.conf").write_text(CONFIG.format(folder=folder, fsid=fsid, v2=v2, v1=v1, port=port))
    url = f"http://127.0.0.1:{port}"
    monmap = str(folder / "monmap")
    with ExitStack() as daemons:

        def start(*command: str) -> subprocess.Popen[bytes]:
            with (folder / "log" / f"{command[0]}.err").open("wb") as said:
                child = subprocess.Popen(
                    [*command, "-f"], env=environment(folder), stdout=subprocess.DEVNULL, stderr=said
                )
            daemons.callback(child.wait, 30)
            daemons.callback(child.kill)
            return child

        peers = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
        tool(folder, "monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", peers, monmap)
        tool(folder, "ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", "/dev/null")
        start("ceph-mon", "-i", "a")
        osd = str(uuid.uuid4())
        tool(folder, "ceph", "--connect-timeout", "60", "osd", "new", osd)
        tool(folder, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-i", "0")
        gateway = start("radosgw", "-n", "client.rgw.a")
        deadline = time.monotonic() + PATIENCE_S
        while not answers(url):
            assert gateway.poll() is None, "radosgw ended"
            assert time.monotonic() < deadline, "radosgw did not come up"
            time.sleep(0.2)
        served = Bucketry(url)
        keys = (f"--access-key={served.key}", f"--secret-key={served.secret}")
        tool(folder, "radosgw-admin", "user", "create", "--uid=test", "--display-name=test", *keys)
        yield served
