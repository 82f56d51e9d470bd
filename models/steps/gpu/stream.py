"""What a GPU does in order, beside all else that it has to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Stream:
    """A CUDA stream, and on a CPU none: there all is done at once.

    What's begun on it starts when what the caller has had done before is done, and goes on while
    the caller begins other things on other streams, until `join`.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Has the operations of a block done on the stream."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            yield

    def join(self) -> None:
        """Has what the caller does from now on wait for the stream."""
        if self._stream is not None:
            torch.cuda.current_stream().wait_stream(self._stream)
