"""Runs a command, and writes down its seconds and its largest resident set, in the system's own unit.

A process of its own, since a child counts what its parent held when it was made: this one holds next to nothing.
"""

import json
import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    _, result, *words = sys.argv
    began = time.perf_counter()
    _, status, usage = os.wait4(os.posix_spawn(words[0], words, os.environ), 0)
    Path(result).write_text(json.dumps([time.perf_counter() - began, usage.ru_maxrss]), encoding="utf-8")
    sys.exit(os.waitstatus_to_exitcode(status) and 1)
