"""The lines of docs/completion.md, in the shells themselves."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

PAGE = (ROOT / "docs" / "completion.md").read_text()
LINES = dict(re.findall(r"^\| (Bash|Zsh|Fish)[^|]*\|[^|]*\| `(.+)` \|$", PAGE, re.MULTILINE))

# What asks a shell's completion for the words that may come next, after a line of the page.
ASKING = {
    "Bash": ["bash", "-c", """\
COMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_mimsweep_completion mimsweep
printf '%s\\n' "${{COMPREPLY[@]}}"
"""],
    "Zsh": ["zsh", "-fc", """\
test $_comps[mimsweep] = _mimsweep_completion
_describe() {{ print -rl -- ${{(P)3}} }}
compadd() {{ print -rl -- ${{(P)argv[-1]}} }}
words=({words}) CURRENT=$#words
_mimsweep_completion
"""],
    "Fish": ["fish", "--no-config", "-c", "complete --do-complete '{line}'\n"],
}  # fmt: skip
BEFORE = {"Zsh": "autoload -U compinit && compinit -D\n"}


def proposed(shell: str, line: str) -> set[str]:
    """What a shell proposes where a command line ends, without descriptions."""
    program, *options, asking = ASKING[shell]
    if shutil.which(program) is None:
        pytest.skip(f"no {program} on this machine: apt-get install {program}")
    words = f"{line}''" if line.endswith(" ") else line
    script = BEFORE.get(shell, "") + LINES[shell].replace(r"\|", "|") + "\n"
    done = subprocess.run(
        [program, *options, script + asking.format(words=words, line=line)],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return {re.split(r"[:\t]", each)[0] for each in done.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["Bash", "Zsh", "Fish"])
def test_commands_and_values_are_completed(shell: str) -> None:
    assert proposed(shell, "mimsweep ve") == {"verify"}
    assert proposed(shell, "mimsweep run --device ") == {"auto", "cpu", "cuda"}
    assert "--seeds-until-decided" in proposed(shell, "mimsweep run --se")
