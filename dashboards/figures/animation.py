"""Latent pictures that move: a frame per epoch, as GIF and, where ffmpeg can be had, as MP4."""

import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mimsweep.dashboards.drawing.canvas import replace, styled
from mimsweep.dashboards.figures.latent import Column, Scene, Stage

_FRAMES_PER_SECOND = 8
_LAST = 16  # frames that the last one stays
_DPI = {"gif": 110, "mp4": 160}

# Without these the file holds the encoder's version, and threads make it differ from run to run.
_EXACT = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white"  # which the pixel format asks for
_PLAYABLE = ["-pix_fmt", "yuv420p", "-crf", "20", "-vf", _EVEN]


@styled
def animate(
    films: Mapping[Column, Sequence[Scene]], title: str, description: str, folder: Path
) -> list[Path]:
    """Writes `animation.gif` and `animation.mp4`; the latter needs the extra `animation`.

    Args:
        films: scenes of epochs 1, 2, …, by heading, from left to right. One that is over stays.
        title: of the pictures.
        description: below them.
        folder: where the files go.

    Returns:
        the files written.
    """
    writers: dict[str, AbstractMovieWriter] = {"gif": PillowWriter(fps=_FRAMES_PER_SECOND)}
    if ffmpeg := find_ffmpeg():
        matplotlib.rcParams["animation.ffmpeg_path"] = ffmpeg
        writers["mp4"] = FFMpegWriter(
            fps=_FRAMES_PER_SECOND, codec="libx264", extra_args=[*_EXACT, *_PLAYABLE]
        )
    written = []
    for ending, writer in writers.items():
        path = folder / f"animation.{ending}"
        stage = Stage({heading: scenes[0] for heading, scenes in films.items()}, title, description)
        replace(path, partial(_shoot, writer, stage, films, ending))
        written.append(path)
    return written


def _shoot(
    writer: AbstractMovieWriter,
    stage: Stage,
    films: Mapping[Column, Sequence[Scene]],
    ending: str,
    path: Path,
) -> None:
    FigureCanvasAgg(stage.figure)
    frames = max(map(len, films.values()))
    stage.note(f"epoch {frames} of {frames}")
    stage.freeze()
    # The ending tells ffmpeg, and Pillow, what to write.
    whole = path.with_suffix(f".{ending}")
    with writer.saving(stage.figure, str(whole), _DPI[ending]):
        for frame in range(frames):
            stage.show([scenes[min(frame, len(scenes) - 1)] for scenes in films.values()])
            stage.note(f"epoch {frame + 1} of {frames}")
            for _ in range(_LAST if frame == frames - 1 else 1):
                writer.grab_frame()
    whole.replace(path)


def find_ffmpeg() -> str | None:
    """Returns the ffmpeg of the package imageio-ffmpeg, else that of the machine, if any."""
    if importlib.util.find_spec("imageio_ffmpeg"):
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    return shutil.which("ffmpeg")
