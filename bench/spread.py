"""Percentiles."""


def share(values: list[float], percent: float) -> float:
    """Return a percentile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[round(percent / 100 * (len(ordered) - 1))] if ordered else 0.0


def ms(seconds: float) -> float:
    """Return milliseconds."""
    return round(seconds * 1000, 3)


def spread(values: list[float]) -> dict[str, float]:
    """Return what is worth knowing of some times, in milliseconds."""
    figures = {f"p{percent}": ms(share(values, percent)) for percent in (50, 90, 99)}
    return {"n": len(values), **figures, "max": ms(max(values, default=0.0))}
