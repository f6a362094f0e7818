"""Splits and dividends that a file lists: raw prices are adjusted for them, or the file is refused."""

from collections.abc import Callable

import numpy as np
import pytest

from finstage_barfile import BarFile, Unreadable

ReadText = Callable[..., BarFile]

RAW = (
    "2020-08-27,508,510,495,500,38,{neutral}\n2020-08-28,504,506,498,499,46,{neutral}\n"
    "2020-08-31,127,131,126,129,225,{split}\n2020-09-01,132,134,130,134,151,{neutral}\n"
)
ADJUSTED = (
    "2020-08-27,127,127.5,123.75,125,152,{neutral}\n2020-08-28,126,126.5,124.5,124.75,184,{neutral}\n"
    "2020-08-31,127,131,126,129,225,{split}\n2020-09-01,132,134,130,134,151,{neutral}\n"
)


def of_splits(rows: str, name: str = "Stock Splits", *, neutral: str = "0", split: str = "4") -> str:
    return f"Date,Open,High,Low,Close,Volume,{name}\n" + rows.format(neutral=neutral, split=split)


@pytest.mark.parametrize(
    "name",
    ["split_coefficient", "splitFactor", "Split Ratio", "split", "Stock Splits", "SPLITS", "stock_split"],
)
@pytest.mark.parametrize(("neutral", "split"), [("0", "4"), ("1.0", "4.0"), ("", "4:1"), ("1:1", "4/1")])
def test_raw_prices_before_a_split_are_divided_by_its_ratio(
    read_text: ReadText, name: str, neutral: str, split: str
) -> None:
    bars = read_text(of_splits(RAW, name, neutral=neutral, split=split))
    assert bars.columns.close.tolist() == [125, 124.75, 129, 134]
    assert bars.columns.open.tolist() == [127, 126, 127, 132]
    assert bars.columns.volume.tolist() == [152, 184, 225, 151]
    assert [(event.kind, event.value) for event in bars.events] == [("splits", 4)]
    assert "prices are raw, and were adjusted for the 4:1 split of 2020-08-31" in bars.notes
    assert bars.ignored == ()


def test_prices_that_are_adjusted_already_stay(read_text: ReadText) -> None:
    bars = read_text(of_splits(ADJUSTED))
    assert bars.columns.close.tolist() == [125, 124.75, 129, 134]
    assert bars.columns.volume[0] == 152
    assert "prices are adjusted already for the 4:1 split of 2020-08-31" in bars.notes


def test_newest_first_makes_no_difference(read_text: ReadText) -> None:
    rows = RAW.format(neutral="0", split="4").splitlines()
    bars = read_text(of_splits("\n".join(rows[::-1])))
    assert bars.columns.close.tolist() == [125, 124.75, 129, 134]


def test_a_reverse_split_and_a_split_multiply(read_text: ReadText) -> None:
    rows = "2020-01-01,1,1,1,1,80,0\n2020-01-02,8,8,8,8,10,0.125\n2020-01-03,4,4,4,4,20,2\n"
    bars = read_text(of_splits(rows))
    assert bars.columns.close.tolist() == [4, 4, 4]
    assert bars.columns.volume.tolist() == [20, 20, 20]


def test_ratios_of_old_shares_for_a_new_one_are_told_as_guessed(read_text: ReadText) -> None:
    bars = read_text(of_splits(RAW, split="0.25"))
    assert bars.columns.close.tolist() == [125, 124.75, 129, 134]
    assert [event.value for event in bars.events] == [4]
    (guess,) = bars.guesses
    assert guess.text.startswith("its ratios are old shares for a new one")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            "2020-01-01,100,100,100,100,1,0\n2020-01-02,98,98,98,98,1,1.05\n",
            "it does not tell whether its prices are adjusted for the 1.05:1 split of 2020-01-02",
        ),
        (
            "2020-01-01,8,8,8,8,1,0\n2020-01-02,4,4,4,4,1,2\n2020-01-03,4,4,4,4,1,0\n2020-01-09,4,4,4,4,1,4\n",
            "its prices are raw at the 2:1 split of 2020-01-02, and adjusted at the 4:1 split of 2020-01-09",
        ),
        (
            "".join(f"2020-01-{day:02},4,4,4,4,1,28\n" for day in range(1, 10)),
            "its column of splits has a ratio in 9 of 9 rows, as a factor has; its prices may be raw",
        ),
        (RAW.format(neutral="0", split="x"), "line 4 lists a split, and cannot be read"),
        (
            RAW.format(neutral="0", split="4").replace(",129,", ",?,"),
            "line 4 lists a split, and cannot be read",
        ),
    ],
)
def test_what_the_prices_do_not_tell_is_refused_and_can_be_said(
    read_text: ReadText, rows: str, told: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read_text(of_splits(rows))
    assert (str(caught.value), caught.value.settled_by) == (told, "prices")
    assert len(read_text(of_splits(rows), prices="adjusted").bars)


def test_raw_prices_can_be_said(read_text: ReadText) -> None:
    rows = "2020-01-01,105,105,105,105,1,0\n2020-01-02,98,98,98,98,1,1.05\n"
    assert read_text(of_splits(rows), prices="raw").columns.close.tolist() == [100, 98]


def test_weeks_that_hold_a_split_are_not_adjusted_by_halves(read_text: ReadText) -> None:
    rows = "2020-08-17,508,510,495,500,1,0\n2020-08-24,508,510,495,500,1,0\n2020-08-31,127,131,126,129,1,4\n"
    with pytest.raises(
        Unreadable, match="raw at the 4:1 split of 2020-08-31, and 1w bars cannot be adjusted"
    ):
        read_text(of_splits(rows), interval="1w")


def test_a_split_that_only_the_adjusted_closes_show_is_guessed(read_text: ReadText) -> None:
    header = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    rows = "2020-08-28,504,506,498,499,124,46\n2020-08-31,127,131,126,129,129,225\n"
    bars = read_text(header + rows)
    assert bars.columns.close.tolist() == [124.75, 129]
    assert [(guess.text, guess.settled_by) for guess in bars.guesses] == [
        ("its adjusted closes show the 4:1 split of 2020-08-31", "prices")
    ]
    assert read_text(header + rows, prices="adjusted").columns.close.tolist() == [499, 129]


def test_a_large_dividend_is_no_split(read_text: ReadText) -> None:
    header = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    bars = read_text(header + "2020-08-28,100,100,100,100,60,46\n2020-08-31,61,61,61,61,61,225\n")
    assert (bars.columns.close.tolist(), bars.guesses) == ([100, 61], ())


def test_a_ratio_that_all_bars_of_a_day_repeat_counts_once(read_text: ReadText) -> None:
    rows = "".join(f"2020-08-31 09:3{minute}Z,127,131,126,129,225,4\n" for minute in range(3))
    bars = read_text(of_splits(f"2020-08-28 09:30Z,504,506,498,499,46,0\n{rows}"), interval="1m")
    assert bars.columns.close.tolist() == [124.75, 129, 129, 129]
    assert len(bars.events) == 1


@pytest.mark.parametrize("name", ["Dividends", "divCash", "dividend_amount", "Ex-Dividend", "Dividend"])
def test_closes_are_adjusted_for_dividends_where_the_file_has_no_adjusted_ones(
    read_text: ReadText, name: str
) -> None:
    rows = "2024-01-01,10,10,10,10,1,0\n2024-01-02,10,10,10,10,1,\n2024-01-03,9,9,9,9,1,0.5\n"
    bars = read_text(f"Date,Open,High,Low,Close,Volume,{name}\n{rows}")
    assert [(event.kind, event.value) for event in bars.events] == [("dividends", 0.5)]
    assert bars.adjusted_close is None
    adjusted = bars.closes_less_dividends
    assert adjusted is not None
    np.testing.assert_allclose(adjusted[:], [9.5, 9.5, 9])
    assert bars.columns.close.tolist() == [10, 10, 9]


def test_a_dividend_before_a_split_is_adjusted_for_it(read_text: ReadText) -> None:
    header = "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n"
    rows = "2020-01-01,40,40,40,40,1,0,0\n2020-01-02,40,40,40,40,1,2,0\n2020-01-03,10,10,10,10,4,0,4\n"
    bars = read_text(header + rows)
    assert {event.kind: event.value for event in bars.events} == {"dividends": 0.5, "splits": 4}


def of_closes(closes: str, name: str, listed: str) -> str:
    rows = zip(closes.split(), listed.split(), strict=True)
    return f"Date,Open,High,Low,Close,Volume,{name}\n" + "".join(
        f"2024-01-{at:02},{close},{close},{close},{close},1,{each}\n"
        for at, (close, each) in enumerate(rows, 2)
    )


@pytest.mark.parametrize(
    ("closes", "listed", "at"),
    [
        ("400 402 101 102", "1 4 1 1", "2024-01-04"),
        ("400 101 101 102", "1 1 4 1", "2024-01-03"),
        ("400 101 101 102", "4 1 1 1", "2024-01-03"),
        ("400 400 400 101 101 101 101 101", "0.25 0 0 0 0 0 0 0", "2024-01-05"),
        ("1 1 8 8", "1 0.125 1 1", "2024-01-04"),
    ],
)
def test_prices_that_fall_near_a_split_and_not_at_it_are_not_called_adjusted(
    read_text: ReadText, closes: str, listed: str, at: str
) -> None:
    content = of_closes(closes, "split", listed)
    with pytest.raises(
        Unreadable, match=f" at {at}, and not where it is listed; prices may be raw"
    ) as caught:
        read_text(content)
    assert caught.value.settled_by == "prices"
    with pytest.raises(Unreadable):
        read_text(content, prices="raw")
    assert read_text(content, prices="adjusted").columns.close.tolist() == [float(c) for c in closes.split()]


@pytest.mark.parametrize("name", ["split", "split_factor"])
def test_a_ratio_that_days_in_a_row_repeat_is_a_factor(read_text: ReadText, name: str) -> None:
    content = of_closes("400 401 100.5 101", name, "4 4 1 1")
    with pytest.raises(Unreadable, match="has a ratio in 2 of 4 rows, as a factor has") as caught:
        read_text(content)
    assert caught.value.settled_by == "prices"
    assert read_text(content, prices="adjusted").events == ()


@pytest.mark.parametrize("name", ["cum_adj_factor", "adj_factor", "Cumulative Factor", "factor", "AdjFactor"])
@pytest.mark.parametrize("factors", [".25 .25 1 1", "4 4 1 1", ".25 1 1 1", ".25 x 1 1"])
def test_closes_that_change_as_a_factor_does_are_refused(
    read_text: ReadText, name: str, factors: str
) -> None:
    content = of_closes("400 401 100.5 101", name, factors)
    if "x" in factors:
        assert read_text(content).refused == ()
        return
    with pytest.raises(
        Unreadable, match="changes by a factor of 4, and the close does so at 2024-01-04"
    ) as caught:
        read_text(content)
    assert caught.value.settled_by == "prices"
    assert len(read_text(content, prices="adjusted").bars) == 4
    assert len(read_text(of_closes("100 100 100.5 101", name, factors)).bars) == 4
