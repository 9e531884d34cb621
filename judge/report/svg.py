"""From a matplotlib figure to an SVG that lives in a page: it takes the page's fonts and colours, and runs nothing.

A drawing names its colours by role (INK, JUDGE, PEOPLE, …). They are stand-in values that leave here as CSS variables,
so that one drawing serves light, dark and paper. The page's content security policy allows no style attributes: every
`style="…"` becomes a class of the page's one style sheet.
"""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

INK, MUTED, LINE, JUDGE, PEOPLE, PAPER, ALARM = (f"#10000{digit}" for digit in range(1, 8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    JUDGE: "--judge",
    PEOPLE: "--people",
    PAPER: "--paper",
    ALARM: "--alarm",
}
SCALE = 1.3  # pixels of the page a point: all charts alike, so that their words are of one size
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: searchable, read aloud, set in the page's own font
    "svg.hashsalt": "rmjudge",  # the same report makes the same page
    "text.parse_math": False,  # a dollar sign in a name from data is a dollar sign
    "axes.unicode_minus": True,
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
}


class Sheet:
    """The classes that the drawings of one page share."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._drawings = 0

    def draw(self, paint: Callable[[Any], None], *, label: str, width: float = 4.5, height: float = 3.0) -> str:
        """The SVG of what `paint` puts on a matplotlib Figure; `label` is what a screen reader says. Inches."""
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        out = io.StringIO()
        with rc_context(_SETTINGS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a glyph that the measuring font lacks is shown by the page's own
            figure = Figure(figsize=(width, height), layout="constrained")
            paint(figure)
            figure.savefig(out, format="svg", metadata={"Date": None})
        self._drawings += 1
        return self._clean(out.getvalue(), label)

    @property
    def css(self) -> str:
        """The rules of all classes that the drawings use."""
        return "\n".join(f".{name}{{{rule}}}" for rule, name in self._names.items())

    def _clean(self, text: str, label: str) -> str:
        ElementTree.register_namespace("", _SVG.strip("{}"))
        root = ElementTree.fromstring(text)
        for parent in list(root.iter()):
            for child in list(parent):
                if child.tag in {f"{_SVG}metadata", f"{_SVG}style"}:
                    parent.remove(child)
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
        for element in root.iter():
            self._dress(element, used)
        box = root.attrib["viewBox"]
        width, height = (str(round(float(side) * SCALE)) for side in box.split()[2:])
        size = {"viewBox": box, "width": width, "height": height}
        root.attrib = {**size, "role": "img", "aria-label": label, "class": "chart"}
        return ElementTree.tostring(root, encoding="unicode")

    def _dress(self, element: ElementTree.Element, used: set[str]) -> None:
        """Ids are unique in the page, links are plain, styles are classes and the words lose matplotlib's fonts."""
        name = element.attrib.pop("id", "")
        if name in used:
            element.set("id", self._own(name))
        if _HREF in element.attrib:
            element.set("href", "#" + self._own(element.attrib.pop(_HREF)[1:]))
        if "clip-path" in element.attrib:
            element.set("clip-path", f"url(#{self._own(element.attrib['clip-path'][5:-1])})")
        style = element.attrib.pop("style", "")
        if style:
            rule = self._rule(style)
            element.set("class", self._names.setdefault(rule, f"c{len(self._names)}"))

    def _own(self, name: str) -> str:
        return f"g{self._drawings}-{name}"

    @staticmethod
    def _rule(style: str) -> str:
        kept = [part.strip() for part in style.split(";") if part.strip() and "font-family" not in part]
        rule = ";".join(re.sub(r"^font:\s*(?:\w+ )*?([\d.]+px).*$", r"font-size:\1", part) for part in kept)
        for value, variable in _VARIABLES.items():
            rule = rule.replace(value, f"var({variable})")
        return rule
