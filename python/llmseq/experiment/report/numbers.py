"""Numbers and names as the report prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MISSING = "–"
NO_BREAK = "\u00a0"  # keeps a number and its unit on one line
Interval = tuple[float, float]


def metric(value: float | None, digits: int = 4) -> str:
    """Write without the leading zero; two decimals above 1.

    Examples
    --------
    >>> metric(0.0723), metric(-0.5, 2), metric(11.53), metric(None)
    ('.0723', '−.50', '11.53', '–')
    """
    if value is None:
        return MISSING
    text = f"{abs(value):.{digits if abs(value) <= 1 else min(digits, 2)}f}"
    sign = "−" if value < 0 and float(text) != 0 else ""
    return sign + text.removeprefix("0")


def signed(value: float | None, digits: int = 4) -> str:
    """Write like `metric`, a gain with its plus."""
    text = metric(value, digits)
    return text if value is None or text[0] == "−" or not text.strip(".0") else f"+{text}"


def percent(value: float | None, *, sign: bool = False) -> str:
    r"""Write a share; one decimal below ten per cent.

    Examples
    --------
    >>> percent(0.2036), percent(0.0512, sign=True), percent(-0.3, sign=True)
    ('20\xa0%', '+5.1\xa0%', '−30\xa0%')
    """
    if value is None:
        return MISSING
    scaled = abs(value) * 100
    text = f"{scaled:.1f}" if 0 < scaled < 9.95 else f"{scaled:,.0f}"
    mark = "−" if value < 0 else "+" if sign and value > 0 else ""
    return f"{mark}{text}{NO_BREAK}%"


def p_text(value: float | None) -> str:
    """Write a p-value: three decimals, nothing finer than .001."""
    if value is None:
        return MISSING
    return f"<{NO_BREAK}.001" if value < 0.001 else metric(value, 3)


def p_phrase(value: float) -> str:
    """Write a p-value inside a sentence."""
    return f"p{NO_BREAK}{'' if value < 0.001 else f'={NO_BREAK}'}{p_text(value)}"


def span(interval: Interval | None, *, sign: bool = False) -> str:
    """Write both ends of an interval."""
    if interval is None:
        return MISSING
    write = signed if sign else metric
    return f"{write(interval[0])} to {write(interval[1])}"


def seconds(value: float | None) -> str:
    r"""Write a duration in the two units that matter.

    Examples
    --------
    >>> seconds(0.02), seconds(7.25), seconds(363), seconds(4330)
    ('<\xa0.1\xa0s', '7.2\xa0s', '6\xa0min 3\xa0s', '1\xa0h 12\xa0min')
    """
    if value is None:
        return MISSING
    if value < 0.1:
        return f"<{NO_BREAK}.1{NO_BREAK}s"
    if value < 9.95:
        return f"{value:.1f}".removeprefix("0") + f"{NO_BREAK}s"
    whole = round(value)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(value / 60)
    return _two(minutes // 60, "h", minutes % 60, "min")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = f" {small}{NO_BREAK}{small_unit}" if small else ""
    return f"{large:,}{NO_BREAK}{large_unit}{rest}"


def count(value: float | None) -> str:
    """Write with commas; a mean keeps one decimal."""
    if value is None:
        return MISSING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def one_decimal(value: float | None) -> str:
    """Write with one decimal, such as a mean place.

    Examples
    --------
    >>> one_decimal(7.25), one_decimal(12.0), one_decimal(None)
    ('7.2', '12.0', '–')
    """
    return MISSING if value is None else f"{value:.1f}"


def number(value: int, noun: str) -> str:
    """Write a count with its noun.

    Examples
    --------
    >>> number(1, "session"), number(1200, "session")
    ('1 session', '1,200 sessions')
    """
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def parameters(value: int | None) -> str:
    """Write a model's size, such as 1.56 M; a model without any has a dash."""
    if not value:
        return MISSING
    for size, unit in ((10**9, "G"), (10**6, "M")):
        if value >= size:
            return f"{value / size:.2f}{NO_BREAK}{unit}"
    return count(value)


def memory(value: float | None) -> str:
    """Write mebibytes, or gibibytes from one on."""
    if value is None:
        return MISSING
    if value < 1024:
        return f"{value:,.0f}{NO_BREAK}MiB"
    return f"{value / 1024:,.1f}{NO_BREAK}GiB"


def metric_name(key: str) -> str:
    """Write a metric's key as people do.

    Examples
    --------
    >>> metric_name("ndcg@20"), metric_name("hr@10"), metric_name("popularity_lift@5")
    ('NDCG@20', 'Hit rate@10', 'Popularity lift@5')
    """
    name, _, k = key.partition("@")
    known = {"ndcg": "NDCG", "mrr": "MRR", "map": "MAP", "hr": "Hit rate"}
    return known.get(name, capitalised(name.replace("_", " "))) + (f"@{k}" if k else "")


def plain(value: object) -> str:
    """Write any plain value: settings, environment, what a split reports.

    Examples
    --------
    >>> plain({"n_blocks": 2, "dropout": 0.5, "bias": False})
    'blocks 2, dropout .5, bias no'
    """
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:,.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(key)} {plain(item)}" for key, item in value.items()) or MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(plain(item) for item in value) or MISSING
    return str(value)


def words(key: object) -> str:
    """Write a key of a JSON file as words."""
    return str(key).removeprefix("n_").replace("_", " ")


def capitalised(text: str) -> str:
    """Raise the first letter, leave the others."""
    return text[:1].upper() + text[1:]
