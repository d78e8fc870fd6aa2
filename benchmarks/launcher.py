"""Runs one command from start to exit and prints what it cost, as JSON: ``python -I -S launcher.py COMMAND …``.

It is a small process of its own, because Linux counts into a process's peak memory what it was before it became its
program. What the command prints is dropped; what it says on stderr is kept.
"""

import json
import os
import sys
import time

start = time.perf_counter()
child = os.posix_spawn(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
)
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
print(
    json.dumps(
        {
            "status": os.waitstatus_to_exitcode(status),
            "wall": wall,
            "cpu": used.ru_utime + used.ru_stime,
            "memory": used.ru_maxrss * 1024,
        }
    )
)
