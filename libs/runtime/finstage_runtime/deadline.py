"""Deadlines: how much of a caller's time to keep back, so that the answer still arrives."""

MARGIN_SHARE, MIN_MARGIN_S, MAX_MARGIN_S = 0.05, 0.02, 0.25


def margin_s(left_s: float) -> float:
    """Return the seconds to keep back of `left_s`: a share of them, within bounds."""
    return min(max(MARGIN_SHARE * left_s, MIN_MARGIN_S), MAX_MARGIN_S)
