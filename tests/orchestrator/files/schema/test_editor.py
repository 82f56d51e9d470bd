"""What an editor shows of a sweep file: a real language server, given the file and its schema."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mimsweep.orchestrator.files.shipped import copy
from tests.orchestrator.files import test_search

MODELINE = "# yaml-language-server: $schema={}.schema.json\n"
RUN = "name: a\nfixed: {dataset: toy4, model: mim}\n"
BAD = {
    "a field misspelt": (RUN + "grid:\n  seedz: 1..3\n", 4, "seedz"),
    "a key misspelt": (RUN + "grids: {}\n", 3, "grids"),
    "a model that isn't there": ("name: a\nfixed: {dataset: toy4, model: mmi}\n", 2, "vae"),
    "a data set that isn't there": ("name: a\nfixed: {dataset: tpy4, model: mim}\n", 2, ""),
    "a number too small": (RUN + "grid:\n  z_dim: [2, 4, 0]\n", 4, "1"),
    "a text for a number": (RUN + "grid:\n  epochs: many\n", 4, "integer"),
    "no name": ("fixed: {dataset: toy4, model: mim}\n", 1, "name"),
    "no data set": ("name: a\nfixed: {model: mim}\ngrid: {seed: 1..3}\n", 3, "dataset"),
    "a field in two places": (RUN + "grid:\n  model: [vae]\n", 4, "model"),
    "a metric that isn't there": (
        RUN + "figures:\n  x: seed\n  hue: model\n  metrics:\n    - knn_5\n",
        7,
        "knn5",
    ),
    "a claim without a form": (RUN + "claims:\n  - claim: c\n    metric: mi\n", 4, "greater"),
    "a where that can't be read": (
        RUN + "claims:\n  - claim: c\n    metric: mi\n    falls_with: z_dim\n    where: zdim > 2\n",
        7,
        "pattern",
    ),
}


class Server:
    """A language server, spoken to over its standard streams."""

    def __init__(self, command: str, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        ends = {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}}
        self.send({"id": 1, "method": "initialize", "params": ends})
        while self.receive().get("id") != 1:
            pass
        self.send({"method": "initialized", "params": {}})
        settings = {"yaml": {"validate": True, "schemaStore": {"enable": False}}}
        self.send({"method": "workspace/didChangeConfiguration", "params": {"settings": settings}})

    def send(self, message: dict[str, Any]) -> None:
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        length = 0
        while (line := self.process.stdout.readline().strip()) or not length:
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        if "id" in message and message.get("method") == "workspace/configuration":
            self.send({"id": message["id"], "result": [None] * len(message["params"]["items"])})
        return message

    def marked(self, path: Path) -> list[tuple[int, str]]:
        """What is marked in a file: the line, from 1, and why."""
        text = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": path.read_text()}
        self.send({"method": "textDocument/didOpen", "params": {"textDocument": text}})
        while True:
            told = self.receive()
            params = told.get("params", {})
            if params.get("uri") == path.as_uri() and "diagnostics" in params:
                found = params["diagnostics"]
                return [(d["range"]["start"]["line"] + 1, d["message"]) for d in found]

    def proposed(self, path: Path) -> set[str]:
        """What is proposed at the end of a file, which is told."""
        self.marked(path)
        lines = path.read_text().split("\n")
        at = {"line": len(lines) - 1, "character": len(lines[-1])}
        asked = {"textDocument": {"uri": path.as_uri()}, "position": at}
        self.send({"id": 2, "method": "textDocument/completion", "params": asked})
        while (told := self.receive()).get("id") != 2:
            pass
        result = told["result"]
        return {item["label"] for item in result["items"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = shutil.which("yaml-language-server")
    if not command:
        pytest.skip("no yaml-language-server; npm has it")
    folder = tmp_path_factory.mktemp("editor")
    for name in ("remedies", "bottleneck", "search_warmup_fashion"):
        copy(name, folder)
    server = Server(command, folder)
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["remedies", "bottleneck", "search_warmup_fashion"])
def test_nothing_is_marked_in_a_copy_of_a_shipped_file(name: str, server: Server) -> None:
    assert server.marked(server.folder / f"{name}.yaml") == []


@pytest.mark.slow
@pytest.mark.parametrize("what", list(BAD))
def test_a_mistake_is_marked_in_its_line(what: str, server: Server) -> None:
    text, line, word = BAD[what]
    path = server.folder / f"{what.replace(' ', '_')}.yaml"
    path.write_text(MODELINE.format("sweep") + text)
    found = server.marked(path)
    assert found, text
    assert line + 1 in [at for at, _ in found], found
    assert word in " ".join(why for _, why in found), found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name: a\nfixed:\n  model: ", {"mim", "vae", "cmim"}),
        ("name: a\nfixed:\n  ", {"dataset", "model", "z_dim", "free_bits"}),
        ("name: a\ngrid:\n  - model: [mim]\n    ", {"dataset", "seed", "z_dim"}),
        (RUN + "figures:\n  x: ", {"seed", "z_dim"}),
        (RUN + "claims:\n  - metric: ", {"mi", "mi_lower", "knn5"}),
        (RUN, {"grid", "figures", "claims"}),
    ],
)
def test_what_may_be_written_is_proposed(
    text: str, names: set[str], server: Server, tmp_path: Path
) -> None:
    path = server.folder / f"{tmp_path.name}.yaml"
    path.write_text(MODELINE.format("sweep") + text)
    assert names <= server.proposed(path)


@pytest.mark.slow
def test_mistakes_of_a_search_are_marked(server: Server) -> None:
    path = server.folder / "search.yaml"
    path.write_text(MODELINE.format("search") + test_search.GOOD)
    assert server.marked(path) == []
    path = server.folder / "bad_search.yaml"
    path.write_text(MODELINE.format("search") + test_search.GOOD.replace("int: [1", "int: [0"))
    assert {line for line, _ in server.marked(path)} == {6}
