"""`python -m mimsweep`: the command of this very Python, as notebooks and schedulers name it."""

from mimsweep.orchestrator.cli.main import program

if __name__ == "__main__":
    program()
