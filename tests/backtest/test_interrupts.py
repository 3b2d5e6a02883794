"""Ctrl-C that comes at the worst moment: whatever lock is just taken, the executor can be closed."""

from __future__ import annotations

import subprocess
import sys

PATIENCE_S = 200
CHILD = """
import signal, sys, threading
from backtest.executors.futures import first_done
from backtest.executors.interrupts import interrupts_noted
from backtest.executors.protocol import Task, task_function
from backtest.executors.registry import Setup, open_executor

@task_function
def slowly(arrays, settings):
    threading.Event().wait(0.002)
    return b"done"

def interrupted(at):
    '''Interrupts the main thread in the `at`-th function of the standard library's locks and futures that it enters.'''
    entered = 0
    def look(frame, event, _):
        nonlocal entered
        if event != "return" or not frame.f_code.co_filename.endswith(("threading.py", "_base.py", "thread.py")):
            return
        entered += 1
        if entered == at:
            signal.raise_signal(signal.SIGINT)
    with interrupts_noted(), open_executor("local", Setup(2)) as executor:
        sys.setprofile(look)
        try:
            waiting = {executor.submit(Task(slowly, {"number": n}, placement="thread")) for n in range(4)}
            while waiting:
                waiting -= first_done(waiting)
        finally:
            sys.setprofile(None)
    return entered

at = 0
while True:
    at += 1
    try:
        entered = interrupted(at)
    except KeyboardInterrupt:
        continue
    assert entered < at, f"the interrupt at {at} of {entered} was lost"
    break
print(at)
"""


def test_an_interrupt_between_a_lock_and_its_block_leaves_no_worker_waiting() -> None:
    """In every function of the standard library's locks and futures that a short study enters, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
