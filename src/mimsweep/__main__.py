"""The command `mimsweep`; `python -m mimsweep` is the one of this very Python, for schedulers."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while all this is loaded needs no traceback

from mimsweep.orchestrator.cli.main import program  # noqa: E402

if __name__ == "__main__":
    program()
