"""Daemon threads for requests under way: at the end of the process they are told to stop, and only then waited for."""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeAlias

from agentevo.errors import ModelError

Job: TypeAlias = Callable[[], None]

_LONGEST_STOP_S = 10.0
_all: weakref.WeakSet[Workers] = weakref.WeakSet()
_registering = threading.Lock()
_ending = threading.Event()


class Workers:
    """As many threads as requests can run at once. The standard pool would wait for them before they can be stopped."""

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._jobs = queue.SimpleQueue[Job | None]()
        self._threads: list[threading.Thread] = []
        self._stops: weakref.WeakSet[threading.Event] = weakref.WeakSet()
        self._changing = threading.Lock()
        weakref.finalize(self, _dismiss, self._jobs, count).atexit = False
        with _registering:
            _all.add(self)

    def submit(self, job: Job, stopped: threading.Event) -> None:
        """Run the job when a thread is free; `stopped`, which ends it early, is set when the process ends."""
        with self._changing:
            if _ending.is_set():
                raise ModelError("the process is ending: no more requests are taken")
            self._stops.add(stopped)
            self._jobs.put(job)
            if len(self._threads) < self._count:
                name = f"agentevo-{self._name}-{len(self._threads)}"
                # Of the workers it holds only the queue, so that they can be freed while it waits.
                self._threads.append(threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True))
                self._threads[-1].start()

    def stop(self) -> list[threading.Thread]:
        """Tell all requests to stop; return the threads, which end as soon as those have."""
        with self._changing:
            for stopped in list(self._stops):
                stopped.set()
            _dismiss(self._jobs, self._count)
            return self._threads


def _work(jobs: queue.SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # it holds the engine


def _dismiss(jobs: queue.SimpleQueue[Job | None], count: int) -> None:
    for _ in range(count):
        jobs.put(None)


@atexit.register
def _stop_all() -> None:
    # A thread that came back from the runtime after the interpreter is gone would abort the process.
    _ending.set()
    with _registering:
        threads = [thread for workers in _all for thread in workers.stop()]
    deadline = time.monotonic() + _LONGEST_STOP_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _forget_in_child() -> None:
    global _all, _registering
    _all, _registering = weakref.WeakSet(), threading.Lock()  # the threads, and what they held, stay in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
