"""What the coordinator and the process that speaks with Ray say to each other, without Ray."""

from __future__ import annotations

import threading
from multiprocessing import Pipe

import pytest

from backtest.executors.ray_messages import Messages


def test_messages_arrive_as_they_were_sent() -> None:
    """Head and body, also an empty one, in their order."""
    here, there = (Messages(end) for end in Pipe())
    here.send("keep", b"arrays", name="a")
    here.send("cancel")
    assert there.waits(1)
    assert there.receive() == ({"kind": "keep", "name": "a"}, b"arrays")
    assert there.receive() == ({"kind": "cancel"}, b"")
    here.close()
    there.close()


def test_who_hangs_up_is_heard_at_both_ends_while_both_read() -> None:
    """A coordinator that closes has a thread that waits for the next answer: neither may go on waiting."""
    here, there = (Messages(end) for end in Pipe())
    heard: list[str] = []

    def read(name: str, end: Messages) -> None:
        with pytest.raises(EOFError):
            end.receive()
        heard.append(name)

    threads = [threading.Thread(target=read, args=it, daemon=True) for it in (("h", here), ("t", there))]
    for thread in threads:
        thread.start()
    assert not here.waits(0.2)  # both are reading
    here.hang_up()
    for thread in threads:
        thread.join(20)
    assert sorted(heard) == ["h", "t"]
    here.close()
    here.close()
    there.close()
