"""The charts of a report: inline SVG whose colours are the page's CSS variables."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from llmseq.experiment.report.labels import Box, place_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stand for a CSS variable each; `_svg` puts the variables in.
_INK, _MUTED, _RULE = "#010101", "#020202", "#030303"
_TEXT, _PLAIN, _PAPER = "#040404", "#050505", "#060606"
_VARIABLES = {
    _INK: "ink",
    _MUTED: "muted",
    _RULE: "rule",
    _TEXT: "accent",
    _PLAIN: "plain",
    _PAPER: "paper",
}
_FONT_SIZE = 12
_LONGEST_NAME = 28
# Metadata, a style that would reach the whole page, clipping (nothing drawn leaves its axes), the
# font (the page's own serves), rotations by nothing.
_UNWANTED = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"<metadata>.*?</metadata>",
        r"<!--.*?-->",
        r"<defs>\s*<style.*?</style>\s*</defs>",
        r"<defs>\s*<clipPath.*?</defs>",
        r" clip-path=\"[^\"]*\"",
        r" transform=\"rotate\(-?0 [^\"]*\"",
        r"font-family: [^;]*; ",
    )
]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Point:
    """One model in a scatter plot; ``low`` and ``high`` end its interval."""

    label: str
    x: float
    y: float
    low: float | None
    high: float | None
    uses_text: bool

    @property
    def ends(self) -> tuple[float, float]:
        """The interval, or the value twice."""
        return (
            self.y if self.low is None else self.low,
            self.y if self.high is None else self.high,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One model over groups of sessions; a ``strong`` line is set apart from the others."""

    label: str
    values: Sequence[float | None]
    uses_text: bool
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """An x axis: label, limits, ticks with their texts."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False


def scatter(points: Sequence[Point], axis: Axis, y_label: str, *, size: Size, alt: str) -> str:
    """Draw accuracy against something, every point named.

    Returns
    -------
    str
        One ``<svg>`` element, the same for the same arguments.
    """
    with _settings(f"{alt}{size}"):
        figure, axes = _figure(size)
        if axis.log:
            axes.set_xscale("log")
        axes.set_xlim(axis.low, axis.high)
        axes.set_xticks([tick for tick, _ in axis.ticks], [text for _, text in axis.ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(*_y_limits(points))
        _style(axes, axis.label)
        for point in points:
            colour = _TEXT if point.uses_text else _PLAIN
            axes.plot([point.x] * 2, point.ends, color=colour, alpha=0.4, lw=1.3)
            _marker(axes, point.x, point.y, colour, uses_text=point.uses_text, size=7)
        figure.text(0, 1, y_label, ha="left", va="top", color=_MUTED)
        figure.tight_layout(pad=0.3, rect=(0, 0, 1, 1 - 2 * _FONT_SIZE / size[1]))
        _name_points(axes, points)
        return _svg(figure, alt)


def _y_limits(points: Sequence[Point]) -> tuple[float, float]:
    """From 0, unless all models are so good that this would waste half of the chart."""
    high = max(max(point.ends) for point in points) or 1e-4
    low = min(min(point.ends) for point in points)
    return (0.0 if low < high / 2 else low - (high - low) * 0.25, high + (high - low) * 0.08)


def _marker(axes: Axes, x: float, y: float, colour: str, *, uses_text: bool, size: float) -> None:
    """Draw a full circle with text, an open square without: told apart without colours too."""
    axes.plot(
        [x],
        [y],
        marker="o" if uses_text else "s",
        markersize=size,
        markerfacecolor=colour if uses_text else _PAPER,
        markeredgecolor=colour,
        markeredgewidth=1.5,
        linestyle="none",
        clip_on=False,
        zorder=4,
    )


def _name_points(axes: Axes, points: Sequence[Point]) -> None:
    """Write each model's name beside its point, with a line where it had to go far."""
    names = [_shortened(point.label) for point in points]
    sizes = []
    for name in names:
        probe = axes.text(0, 0, name, fontsize=_FONT_SIZE, parse_math=False)
        sizes.append((probe.get_window_extent().width, _FONT_SIZE * 1.2))
        probe.remove()
    centres = [_pixel(axes, point.x, point.y) for point in points]
    whiskers = [_whisker(axes, point) for point in points]
    frame = axes.get_window_extent()
    bounds = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 + 4, frame.y1 + 8)
    places = place_labels(centres, sizes, bounds, obstacles=whiskers)
    pixels: dict[str, Any] = {"xycoords": "figure pixels", "annotation_clip": False}
    for point, name, centre, place in zip(points, names, centres, places, strict=True):
        if place.far:
            line = {"arrowstyle": "-", "color": _MUTED, "lw": 0.6, "shrinkA": 0, "shrinkB": 5}
            end = place.box.nearest(centre)
            axes.annotate("", centre, end, textcoords="figure pixels", arrowprops=line, **pixels)
        axes.annotate(
            name,
            place.anchor,
            ha=place.align,
            va="center_baseline",
            color=_INK if point.uses_text else _MUTED,
            parse_math=False,
            zorder=6,
            **pixels,
        )


def _pixel(axes: Axes, x: float, y: float) -> tuple[float, float]:
    found = axes.transData.transform((x, y))
    return float(found[0]), float(found[1])


def _whisker(axes: Axes, point: Point) -> Box:
    low, high = point.ends
    x, bottom = _pixel(axes, point.x, low)
    _, top = _pixel(axes, point.x, high)
    return Box(x - 1.5, bottom, x + 1.5, top)


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…"


def group_lines(
    groups: Sequence[str], lines: Sequence[Line], x_label: str, *, size: Size, alt: str
) -> str:
    """Draw a metric over groups of sessions: strong lines coloured, the others faint behind."""
    with _settings(alt):
        figure, axes = _figure(size)
        top = 1e-4
        for line in sorted(lines, key=lambda each: each.strong):
            known = [(at, value) for at, value in enumerate(line.values) if value is not None]
            top = max([top, *(value for _, value in known)])
            strong = _TEXT if line.uses_text else _PLAIN
            axes.plot(
                [at for at, _ in known],
                [value for _, value in known],
                color=strong if line.strong else _MUTED,
                alpha=1 if line.strong else 0.35,
                lw=2 if line.strong else 1,
            )
            for at, value in known if line.strong else ():
                _marker(axes, at, value, strong, uses_text=line.uses_text, size=5.5)
        axes.set_ylim(0, top * 1.08)
        axes.set_xlim(-0.15, len(groups) - 0.85)
        axes.set_xticks(range(len(groups)), list(groups))
        _style(axes, x_label)
        figure.tight_layout(pad=0.3)
        return _svg(figure, alt)


def scaling(
    lines: Sequence[Sequence[Point]], axis: Axis, y_label: str, *, size: Size, alt: str
) -> str:
    """Draw accuracy over what models differ in: points of one line belong together, named once."""
    with _settings(alt):
        figure, axes = _figure(size)
        if axis.log:
            axes.set_xscale("log")
        axes.set_xlim(axis.low, axis.high)
        axes.set_ylim(*_y_limits([point for line in lines for point in line]))
        _style(axes, axis.label)
        axes.set_xticks([tick for tick, _ in axis.ticks], [text for _, text in axis.ticks])
        axes.set_xticks([], minor=True)
        for line in lines:
            colour = _TEXT if line[0].uses_text else _PLAIN
            axes.plot([p.x for p in line], [p.y for p in line], color=colour, lw=1.5)
            for point in line:
                axes.plot([point.x] * 2, point.ends, color=colour, alpha=0.4, lw=1.3)
                _marker(axes, point.x, point.y, colour, uses_text=point.uses_text, size=6)
        figure.text(0, 1, y_label, ha="left", va="top", color=_MUTED)
        figure.tight_layout(pad=0.3, rect=(0, 0, 1, 1 - 2 * _FONT_SIZE / size[1]))
        _name_points(axes, [line[-1] for line in lines])
        return _svg(figure, alt)


def differences(points: Sequence[Point], x_label: str, *, size: Size, alt: str) -> str:
    """Draw differences, ``y`` of each point, with their intervals: one row each, the first on top.

    A line marks no difference.
    """
    with _settings(alt):
        figure, axes = _figure(size)
        _style(axes, x_label)
        axes.grid(visible=False)
        axes.axvline(0, color=_MUTED, lw=0.8)
        for row, point in enumerate(points):
            colour = _TEXT if point.uses_text else _PLAIN
            axes.plot(point.ends, [row] * 2, color=colour, alpha=0.4, lw=4)
            _marker(axes, point.y, row, colour, uses_text=point.uses_text, size=6)
        axes.set_ylim(len(points) - 0.5, -0.5)
        names = [_shortened(point.label) for point in points]
        axes.set_yticks(range(len(points)), names, color=_INK)
        axes.xaxis.set_major_formatter(
            lambda value, _: f"{value:+.3g}".replace("0.", ".").replace("-", "−") if value else "0"
        )
        figure.tight_layout(pad=0.3)
        return _svg(figure, alt)


def training_curve(scores: Sequence[tuple[float, float]], *, size: Size, alt: str) -> str:
    """Draw pairs of epoch and score, the best one marked."""
    from matplotlib.ticker import MaxNLocator

    with _settings(alt):
        figure, axes = _figure(size)
        axes.plot([at for at, _ in scores], [value for _, value in scores], color=_MUTED, lw=1.5)
        _marker(axes, *max(scores, key=lambda each: each[1]), _INK, uses_text=True, size=5.5)
        _style(axes, "epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        figure.tight_layout(pad=0.3)
        return _svg(figure, alt)


def search_history(
    trials: Sequence[tuple[int, float, bool]], y_label: str, *, size: Size, alt: str
) -> str:
    """Draw trials (number, value, whether it was brought to its end) and the best so far."""
    with _settings(alt):
        figure, axes = _figure(size)
        ended = [(at, value) for at, value, whole in trials if whole]
        given_up = [(at, value) for at, value, whole in trials if not whole]
        best, steps = float("-inf"), []
        for at, value in ended:
            best = max(best, value)
            steps.append((at, best))
        steps.append((trials[-1][0], best))
        axes.step(*zip(*steps, strict=True), where="post", color=_TEXT, lw=1.5)
        for points, colour, fill in ((given_up, _PLAIN, _PAPER), (ended, _TEXT, _TEXT)):
            axes.plot(
                [at for at, _ in points],
                [value for _, value in points],
                linestyle="none",
                marker="o" if fill == colour else "x",
                markersize=4,
                markerfacecolor=fill,
                markeredgecolor=colour,
                zorder=3,
            )
        _style(axes, "trial")
        figure.text(0, 1, y_label, ha="left", va="top", color=_MUTED)
        figure.tight_layout(pad=0.3, rect=(0, 0, 1, 1 - 2 * _FONT_SIZE / size[1]))
        return _svg(figure, alt)


def bars(shares: Sequence[tuple[str, float]], *, size: Size, alt: str) -> str:
    """Draw shares (0 to 1) as named bars, the first on top."""
    with _settings(alt):
        figure, axes = _figure(size)
        places = range(len(shares))
        axes.barh(places, [share for _, share in shares], height=0.55, color=_TEXT)
        axes.invert_yaxis()
        axes.set_facecolor("none")
        for side in ("bottom", "top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.set_yticks(places, [_shortened(name) for name, _ in shares], color=_INK)
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        for place, (_, share) in zip(places, shares, strict=True):
            axes.annotate(
                f"{share:.0%}",
                (share, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=_MUTED,
            )
        axes.set_xlim(0, max(share for _, share in shares) * 1.15 or 1.0)
        figure.tight_layout(pad=0.3)
        return _svg(figure, alt)


def _settings(salt: str) -> AbstractContextManager[None]:
    """Take settings of our own alone: a matplotlibrc on the machine changes nothing.

    Parameters
    ----------
    salt
        Makes the ids inside one chart differ from those of the others on the page.
    """
    import matplotlib as mpl

    defaults = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    ours: Any = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": _FONT_SIZE}
    return mpl.rc_context(defaults | ours)


def _figure(size: Size) -> tuple[Figure, Axes]:
    """One pair of axes on a figure whose points are CSS pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] / 72, size[1] / 72), dpi=72)
    return figure, figure.subplots()


def _style(axes: Axes, x_label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_RULE, lw=0.8)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.spines["bottom"].set_linewidth(0.8)
    axes.tick_params(axis="x", colors=_MUTED, length=3, width=0.8)
    axes.tick_params(axis="y", colors=_MUTED, length=0)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ticks = axes.get_yticks()
    texts = [f"{tick:.6f}".rstrip("0") for tick in ticks]
    digits = max((len(text.partition(".")[2]) for text in texts), default=0)
    axes.yaxis.set_major_formatter(
        lambda value, _: "0" if value == 0 else f"{value:.{digits}f}".removeprefix("0")
    )
    axes.set_xlabel(x_label, color=_MUTED, labelpad=6)


def _svg(figure: Figure, alt: str) -> str:
    """Write the figure as an element of a page: colours are variables, ids only where used."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for unwanted in _UNWANTED:
        text = unwanted.sub("", text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    used = set(re.findall(r"href=\"#([^\"]+)", text))
    text = re.sub(r" id=\"([^\"]+)\"", lambda found: found[0] if found[1] in used else "", text)
    view = re.search(r"viewBox=\"[^\"]+\"", text)
    head = f'<svg class="chart" {view[0] if view else ""} role="img" aria-label="{escape(alt)}">'
    body = text[text.index(">") + 1 :].replace("xlink:href", "href")
    return re.sub(r"\s*\n\s*", "\n", head + body).strip()
