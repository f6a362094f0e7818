"""Faults over real HTTP, their schedules, and the statistics about a client."""

import socket
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from sim.faults import CHANGES, KINDS, REPLACEMENTS
from sim.server import Sim

AAPL = "/v8/finance/chart/AAPL"


@pytest.mark.parametrize("body", ["text", "html"])
def test_rate_limited_without_retry_after(get: Any, body: str) -> None:
    get("/admin/faults", kind="rate_limited", body=body)
    response = get(AAPL)
    assert response.status_code == 429
    assert "Too Many Requests" in response.text
    assert response.headers["Content-Type"] == {"text": "text/plain", "html": "text/html"}[body]
    assert "Retry-After" not in response.headers


def test_rate_limited_with_retry_after_in_seconds(get: Any) -> None:
    get("/admin/faults", kind="rate_limited", form="seconds", retry_after="2.2")
    assert get(AAPL).headers["Retry-After"] == "3"


def test_rate_limited_with_retry_after_as_a_date(get: Any) -> None:
    get("/admin/faults", kind="rate_limited", form="date", retry_after="30")
    headers = get(AAPL).headers
    wait = parsedate_to_datetime(headers["Retry-After"]) - parsedate_to_datetime(headers["Date"])
    assert 30 <= wait.total_seconds() <= 32


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors(get: Any, status: int) -> None:
    get("/admin/faults", kind="server_error", status=str(status), form="seconds", retry_after="1")
    response = get(AAPL)
    assert (response.status_code, response.headers["Retry-After"]) == (status, "1")


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("unauthorized", 401, "Invalid Crumb"),
        ("html", 200, "<!DOCTYPE html>"),
        ("error_200", 200, '"result":null,"error":{'),
        ("text_200", 200, "Too Many Requests"),
    ],
)
def test_replies_of_another_kind(get: Any, kind: str, status: int, words: str) -> None:
    get("/admin/faults", kind=kind)
    response = get(AAPL)
    assert response.status_code == status
    assert words in response.text


def test_an_empty_body(get: Any) -> None:
    get("/admin/faults", kind="empty_body")
    assert get(AAPL).content == b""


def test_truncated_json_is_a_complete_reply_with_half_of_the_text(get: Any) -> None:
    whole = get(AAPL, interval="1d", range="1y").content
    get("/admin/faults", kind="truncated_json")
    assert get(AAPL, interval="1d", range="1y").content == whole[: len(whole) // 2]


def test_a_truncated_body_ends_before_its_length(get: Any) -> None:
    get("/admin/faults", kind="truncated_body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        get(AAPL)


@pytest.mark.parametrize("after", [None, 100])
def test_a_reset_before_the_reply_and_within_it(sim: Sim, get: Any, after: int | None) -> None:
    get("/admin/faults", kind="reset", **({} if after is None else {"after": str(after)}))
    host, port = sim.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {AAPL} HTTP/1.1\r\nHost: sim\r\n\r\n".encode())
        if after is not None:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        with pytest.raises(ConnectionResetError):
            connection.recv(65536)


def test_latency_comes_before_the_first_byte_and_slow_bodies_after(sim: Sim, get: Any) -> None:
    """A client with a short timeout sees the difference."""
    get("/admin/faults", kind="latency", seconds="5", symbol="AAPL")
    get("/admin/faults", kind="slow_body", seconds="20", symbol="KO")
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(sim.url + AAPL, timeout=0.3)
    response = requests.get(sim.url + "/v8/finance/chart/KO", timeout=0.3, stream=True)
    assert response.status_code == 200
    with pytest.raises(requests.exceptions.ConnectionError, match="timed out"):
        _ = response.content


def test_short_delays_do_no_harm(get: Any) -> None:
    get("/admin/faults", kind="latency", seconds="0.05")
    get("/admin/faults", kind="slow_body", seconds="0.1")
    assert get(AAPL).json()["chart"]["error"] is None


def _schedule(get: Any, n: int) -> list[int]:
    return [get(AAPL, interval="1d", range="1d").status_code for _ in range(n)]


def test_a_seeded_schedule_is_the_same_every_time(get: Any) -> None:
    seen = []
    for seed in ("1", "1", "2"):
        get("/admin/faults/clear")
        get("/admin/faults", kind="rate_limited", rate="0.4", seed=seed)
        seen.append(_schedule(get, 40))
    assert seen[0] == seen[1] != seen[2]
    assert 5 < seen[0].count(429) < 30


def test_a_rule_ends_after_its_count(get: Any) -> None:
    get("/admin/faults", kind="server_error", count="2")
    assert _schedule(get, 4) == [503, 503, 200, 200]
    (rule,) = get("/admin/faults").json()["rules"]
    assert (rule["matched"], rule["hit"]) == (2, 2)


def test_a_rule_is_for_its_symbol_and_path_alone(get: Any) -> None:
    get("/admin/faults", kind="rate_limited", symbol="aapl", path="quote")
    assert get("/v7/finance/quote", symbols="KO,AAPL").status_code == 429
    assert get("/v7/finance/quote", symbols="KO").status_code == 200
    assert get(AAPL).status_code == 200
    assert get("/v1/finance/search", q="a").status_code == 200


def test_rules_combine(get: Any) -> None:
    """The first of two replacements applies, and its JSON is cut as well."""
    get("/admin/faults", kind="error_200")
    get("/admin/faults", kind="rate_limited")
    get("/admin/faults", kind="truncated_json")
    response = get(AAPL)
    assert response.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        response.json()
    get("/admin/faults/clear", kind="error_200")
    assert get(AAPL).status_code == 429
    get("/admin/faults/clear")
    assert get(AAPL).status_code == 200


def test_health_and_admin_never_go_wrong(get: Any) -> None:
    get("/admin/faults", kind="reset")
    assert get("/healthz").status_code == 200
    assert get("/admin/stats").status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {"kind": "nothing"},
        {"rate": "0.5"},
        {"kind": "reset", "rate": "1.5"},
        {"kind": "reset", "rate": "often"},
        {"kind": "reset", "what": "1"},
        {"kind": "server_error", "status": "404"},
        {"kind": "rate_limited", "form": "weeks"},
    ],
)
def test_a_wrong_rule_is_refused_with_a_reason(get: Any, params: dict[str, str]) -> None:
    response = get("/admin/faults", **params)
    assert response.status_code == 400
    assert response.json()["error"]
    assert get("/admin/faults").json()["rules"] == []


def test_post_does_the_same(sim: Sim, get: Any) -> None:
    assert requests.post(sim.url + "/admin/faults", params={"kind": "html"}, data="x=1").status_code == 200
    assert [rule["fault"]["kind"] for rule in get("/admin/faults").json()["rules"]] == ["html"]


def test_every_kind_is_known_once() -> None:
    assert len(set(KINDS)) == len(KINDS) == len(REPLACEMENTS) + len(CHANGES)


def test_statistics_count_by_path_symbol_and_outcome(get: Any) -> None:
    get("/admin/faults", kind="rate_limited", symbol="KO", count="1", form="seconds", retry_after="7")
    get(AAPL, interval="1d", range="5d")
    get("/v8/finance/chart/KO")
    get("/v7/finance/quote", symbols="KO,IBM")
    get("/v8/finance/chart/NOSUCH")
    stats = get("/admin/stats").json()
    assert stats["requests"] == 4
    assert stats["by_path"] == {"chart": 3, "quote": 1}
    assert stats["by_symbol"] == {"AAPL": 1, "KO": 1, "KO,IBM": 1, "NOSUCH": 1}
    assert stats["by_outcome"] == {"ok": 2, "rate_limited": 1, "http_404": 1}
    first, second = stats["log"][:2]
    assert (first["query"], first["status"], first["wait_s"]) == ("interval=1d&range=5d", 200, None)
    assert (second["outcome"], second["wait_s"], second["at"] >= first["at"]) == ("rate_limited", 7.0, True)
    assert [seen["symbol"] for seen in get("/admin/stats", symbol="ko").json()["log"]] == ["KO", "KO,IBM"]
    get("/admin/stats/clear")
    assert get("/admin/stats").json()["requests"] == 0


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_repeat_before_retry_after_is_over_is_early(get: Any, form: str) -> None:
    get("/admin/faults", kind="rate_limited", symbol="KO", count="1", form=form, retry_after="30")
    for symbol in ("KO", "IBM", "KO"):
        get(f"/v8/finance/chart/{symbol}")
    stats = get("/admin/stats").json()
    assert [seen["early"] for seen in stats["log"]] == [False, False, True]
    assert stats["early"] == 1


def test_requests_are_served_concurrently_and_counted(sim: Sim, get: Any) -> None:
    get("/admin/faults", kind="latency", seconds="0.5")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: requests.get(sim.url + AAPL, timeout=10), range(8)))
    stats = get("/admin/stats").json()
    assert stats["requests"] == 8
    assert 2 <= stats["max_in_flight"] <= 8
