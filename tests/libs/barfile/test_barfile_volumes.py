"""The volume, and the close, under the names that files give them: told or asked for, never left out."""

from collections.abc import Callable

import pytest

from finstage_barfile import BarFile, Unreadable

ReadText = Callable[..., BarFile]


def of_volumes(names: tuple[str, ...], cells: tuple[str, ...] = ("100", "200", "300")) -> str:
    row = f"10,11,9,10.5,{','.join(cells[: len(names)])}"
    return f"Date,Open,High,Low,Close,{','.join(names)}\n2024-01-02,{row}\n2024-01-03,{row}\n"


@pytest.mark.parametrize(
    "names",
    [
        ("Volume",), ("Vol.",), ("<VOL>",), ("TOTTRDQTY", "TOTTRDVAL"), ("TTL_TRD_QNTY", "TURNOVER_LACS"),
        ("No.of Shares", "No. of Trades"), ("Total Traded Quantity", "Total Traded Value"),
        ("volumefrom", "volumeto"),
        ("Shares Traded", "Turnover"), ("Share Volume", "Dollar Volume"), ("base_volume", "quote_volume"),
        ("Volume BTC", "Volume USDT"), ("VOLUME ", "VALUE "), ("real_volume", "spread"), ("Volume (shares)",),
    ],
)  # fmt: skip
def test_a_volume_is_found_by_its_name(read_text: ReadText, names: tuple[str, ...]) -> None:
    bars = read_text(of_volumes(names), no_volume=False)
    assert bars.columns.volume.tolist() == [100, 100]
    assert bars.column_names["volume"] == names[0].strip()


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("Volume BTC", "Volume USD"), "volume was read from 'Volume BTC', not 'Volume USD'"),
        (("Volumen",), "volume was read from 'Volumen', by its name"),
        (("Traded Vol",), "volume was read from 'Traded Vol', by its name"),
        (("tick_volume",), "volume was read from 'tick_volume', which counts ticks"),
        (("Volume (lots)",), "volume was read from 'Volume (lots)', in its own unit"),
    ],
)
def test_a_volume_by_a_name_that_does_not_tell_all_is_told_as_guessed(
    read_text: ReadText, names: tuple[str, ...], told: str
) -> None:
    bars = read_text(of_volumes(names), no_volume=False)
    assert bars.columns.volume.tolist() == [100, 100]
    assert [(guess.text, guess.settled_by, guess.fields) for guess in bars.guesses] == [
        (told, "column_names", ("volume",))
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("Foo",), ("Menge", "Wert"), ("成交量",), ("Turnover",), ("quote_asset_volume",), ("Volume EUR",
        "Volume USD"),
        ("Volume", "Volume"), ("Traded Lots", "Traded Units"),
    ],
)  # fmt: skip
def test_a_column_that_may_be_the_volume_is_asked_for(read_text: ReadText, names: tuple[str, ...]) -> None:
    with pytest.raises(Unreadable, match="it does not tell the volume, which could be ") as caught:
        read_text(of_volumes(names), no_volume=False)
    assert (caught.value.settled_by, caught.value.fields) == ("column_names", ("volume",))
    assert read_text(of_volumes(names), column_names={"volume": names[0]}).columns.volume[0] == 100
    assert read_text(of_volumes(names), no_volume=True).columns.volume.tolist() == [0, 0]


@pytest.mark.parametrize("names", [(), ("VWAP", "Trades"), ("Adj Open", "Change %")])
def test_that_there_is_no_volume_is_told_and_can_be_accepted(
    read_text: ReadText, names: tuple[str, ...]
) -> None:
    content = of_volumes(names).replace(",\n", "\n")
    bars = read_text(content, no_volume=False)
    assert [(guess.text, guess.settled_by) for guess in bars.guesses] == [
        ("it has no volume, so 0 is written", "no_volume")
    ]
    assert read_text(content, no_volume=True).guesses == ()


def test_text_that_is_no_number_is_no_volume(read_text: ReadText) -> None:
    bars = read_text(of_volumes(("Comment",), ("fine",)), no_volume=False)
    assert [guess.settled_by for guess in bars.guesses] == ["no_volume"]


@pytest.mark.parametrize(
    ("name", "scale"),
    [("Volume (M)", 1e6), ("Vol (000s)", 1e3), ("Volume ('000)", 1e3), ("Volume (in millions)", 1e6),
    ("Vol (lakhs)", 1e5)],
)  # fmt: skip
def test_a_unit_in_the_name_counts(read_text: ReadText, name: str, scale: float) -> None:
    bars = read_text(of_volumes((name,), ("5.5",)))
    assert bars.columns.volume[0] == 5.5 * scale
    assert [guess.text for guess in bars.guesses] == [
        f"volume was read from {name!r}, in units of {scale:,.0f}"
    ]


def test_of_a_pair_the_coin_that_is_traded_counts(read_text: ReadText) -> None:
    content = of_volumes(("Volume EUR", "Volume USD"))
    assert read_text(content, ticker="EUR-USD").columns.volume[0] == 100
    content = of_volumes(("Volume USDT", "Volume ETH"))
    assert read_text(content, ticker="ETHUSDT").columns.volume[0] == 200
    assert read_text(content).columns.volume[0] == 200


def test_ticks_count_where_the_volume_beside_them_is_always_0(read_text: ReadText) -> None:
    bars = read_text(of_volumes(("<TICKVOL>", "<VOL>"), ("412", "0")))
    assert bars.columns.volume.tolist() == [412, 412]
    assert [guess.text for guess in bars.guesses] == [
        "volume was read from '<TICKVOL>', which counts ticks, as '<VOL>' is 0 in every row"
    ]
    assert read_text(of_volumes(("<TICKVOL>", "<VOL>"), ("412", "7"))).columns.volume.tolist() == [7, 7]


def test_settle_is_the_close_beside_last_and_told(read_text: ReadText) -> None:
    content = "Date,Open,High,Low,Last,Settle,Volume\n2024-01-02,71.1,72,70.5,71.65,71.7,5\n"
    bars = read_text(content)
    assert bars.columns.close[0] == 71.7
    assert [(guess.text, guess.fields) for guess in bars.guesses] == [
        ("close was read from 'Settle', not 'Last'", ("close",))
    ]
    said = read_text(content, column_names={"close": "Last"})
    assert (said.columns.close[0], said.guesses) == (71.65, ())


@pytest.mark.parametrize("empty", ["", "NaN"])
def test_a_volume_that_is_empty_in_every_row_is_none(read_text: ReadText, empty: str) -> None:
    bars = read_text(of_volumes(("Volume", "Volume USD"), (empty, "400")), no_volume=False)
    assert bars.columns.volume.tolist() == [400, 400]
    assert [guess.text for guess in bars.guesses] == ["volume was read from 'Volume USD', by its name"]
    with pytest.raises(Unreadable, match="it does not tell the volume, which could be 'Turnover'"):
        read_text(of_volumes(("Volume", "Turnover"), (empty, "400")), no_volume=False)
    alone = read_text(of_volumes(("Volume", "Note"), (empty, "x")), no_volume=False)
    assert [guess.settled_by for guess in alone.guesses] == ["no_volume"]
    given = {"volume": "Volume"}
    assert read_text(of_volumes(("Volume", "V"), (empty, "4")), column_names=given).columns.volume[0] == 0
