"""What workers need, loaded before they are forked: the process of `forkserver` imports this.

Ctrl-C is left to the process that has the run, as its workers leave it. What is loaded stays, and
is hidden from the garbage collector: looking at it, a fork would make its own copy of it.
"""

import gc
import os
import signal

_on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
gc.disable()

# ruff: noqa: E402 - not a moment earlier
import distributed.nanny  # noqa: F401
import numpy.ma  # noqa: F401
from distributed.http.worker import prometheus  # noqa: F401

from . import cluster, task  # noqa: F401
from .forkserver import ITS_OWN

for _name in ITS_OWN:
    os.environ.pop(_name, None)
gc.freeze()
gc.enable()
signal.signal(signal.SIGINT, _on_interrupt)
