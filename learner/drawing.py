"""How pictures look: the one style of all plots. The same figures, the same bytes."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any, Literal, cast

import matplotlib
from matplotlib.figure import Figure

PictureFormat = Literal["svg", "png"]
# Okabe and Ito's colours, which people tell apart however they see colour; grey is for what is left.
BLUE, ORANGE, GREEN, YELLOW, SKY, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#F0E442", "#56B4E9", "#D55E00", "#CC79A7"
COLOURS, GREY = (BLUE, ORANGE, GREEN, YELLOW, SKY, VERMILION, PURPLE), "#999999"
STYLE = {
    "svg.hashsalt": "ratchet",  # otherwise ids in an SVG are random
    "text.parse_math": False,  # a "$" in a domain's name is a dollar
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.alpha": 0.4,
}
SVG_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}  # none at all: it would hold the time
_drawing = threading.Lock()  # a style is set for the whole process


def render(make: Callable[[], Figure], format: PictureFormat) -> bytes:
    """The file of the figure that is made. Takes a second or so, and blocks."""
    out = BytesIO()
    with _drawing, matplotlib.rc_context(cast(Any, STYLE)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a script that the font does not have: boxes
        make().savefig(out, format=format, dpi=120, metadata=SVG_METADATA if format == "svg" else {"Software": None})
    return out.getvalue()
