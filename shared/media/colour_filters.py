"""FFmpeg's filters that read a clip's pixels by the colours they have. Names are FFmpeg's (code points of H.273).

Tags may say what FFmpeg cannot convert, or what the pixels cannot be, as those of recorders that write YCgCo over
subsampled YUV: players show such clips, and so do we.
"""

from __future__ import annotations

from shared.media.probe import VideoFacts

# Matrices and transfers that FFmpeg's scaler takes (libswscale); what it does not take ends a run.
_SCALED_MATRICES = {"gbr", "bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"}
_UNSCALED_TRANSFERS = {"log100", "log316", "vlog"}
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8")
# Matrices that follow from the primaries (H.273, MatrixCoefficients 12 and 13), as far as a usual one is the same.
_DERIVED_MATRICES = {"bt709": "bt709", "bt2020": "bt2020nc", "smpte170m": "smpte170m", "bt470bg": "smpte170m"}
_WIDE_SDR_TRANSFERS = {"bt709", "bt2020-10", "bt2020-12"}


def usual_matrix(width: int, height: int) -> str:
    """How players read pixels of this size that say nothing: as HD or as SD (the rule of mpv and VLC)."""
    return "bt709" if width >= 1280 or height > 576 else "smpte170m"


def matrix_of(video: VideoFacts) -> str:
    """The matrix a clip's pixels are read by; empty for RGB, which has none."""
    if video.pixel_format.startswith(_RGB):
        return ""
    matrix, usual = video.matrix, usual_matrix(video.width, video.height)
    if matrix.startswith("chroma-derived"):
        return _DERIVED_MATRICES.get(video.primaries, usual)
    if _is_zscaled(video) or (matrix in _SCALED_MATRICES and matrix != "gbr"):
        return matrix
    if matrix == "bt2020c" or (video.hdr and not matrix):
        return "bt2020nc"
    return usual


def _is_zscaled(video: VideoFacts) -> bool:
    """Whether its matrix is one that only zscale converts, and the pixels may well be of it."""
    if video.matrix == "ycgco":
        return "444" in video.pixel_format
    wide = video.primaries == "bt2020"
    if video.matrix == "ictcp":
        return wide and bool(video.hdr)
    return video.matrix == "bt2020c" and wide and video.transfer in _WIDE_SDR_TRANSFERS


def read_colours(video: VideoFacts) -> list[str]:
    """Filters for the beginning of a chain, after which every other filter can take the frames."""
    matrix = matrix_of(video)
    tags = [f"colorspace={matrix}"] if matrix else []
    if video.transfer in _UNSCALED_TRANSFERS:
        tags.append("color_trc=bt709")
    if video.hdr:
        tags += [f"range={video.range or 'tv'}", f"color_primaries={video.primaries or 'bt2020'}"]
    steps = [f"setparams={':'.join(tags)}"] if tags else []
    return steps if matrix in ("", *_SCALED_MATRICES) else [*steps, "zscale=m=bt709:r=tv"]


def tone_map() -> str:
    """HDR to SDR through linear light; a nominal peak of 100 nits is SDR's white."""
    return (
        "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0,"
        "zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
    )
