"""`python -m tricks COMMAND`, which is what `./course` and `torchrun` call."""

import signal
import sys

from tricks.course.cli import main

signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop is an interruption like any other
sys.exit(main())
