"""Run a command and write its seconds and its peak memory (in the unit of the system) to a JSON file.

This is a separate program with little memory, because the peak of a child process includes the memory that its parent
held when the child was created.
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
