"""What others install: each distribution alone, in an empty environment, beside their own code."""

from pathlib import Path

import pytest

from tests.packages.conftest import Environment, Wheel


@pytest.fixture
def client(environments: dict[str, Environment]) -> Environment:
    return environments["finstage-client"]


@pytest.fixture
def cache(environments: dict[str, Environment]) -> Environment:
    return environments["finstage-cache"]


@pytest.fixture
def contracts(environments: dict[str, Environment]) -> Environment:
    return environments["finstage-contracts"]


def test_every_name_that_a_wheel_puts_into_site_packages_begins_with_finstage(
    wheels: dict[str, Wheel],
) -> None:
    packages = {
        name: {top for top in wheel.top_level() if not top.endswith(".dist-info")}
        for name, wheel in wheels.items()
    }
    assert packages == {
        "finstage-barfile": {"finstage_barfile"},
        "finstage-cache": {"finstage_cache", "finstage_runtime"},
        "finstage-client": {"finstage_client"},
        "finstage-contracts": {"finstage"},
        "finstage-market": {"finstage_market"},
    }


def test_the_client_brings_what_a_client_needs_and_nothing_of_a_server(client: Environment) -> None:
    assert client.installed() == {
        *("finstage-client", "finstage-contracts", "finstage-market"),
        *("googleapis-common-protos", "grpcio", "numpy", "protobuf", "typing-extensions"),
    }


def test_the_client_works_beside_packages_named_like_our_folders(
    client: Environment, price_target: str
) -> None:
    printed = client.run("use_client.py", price_target)
    assert printed == ["AAPL", "189.25", "SYMBOL_NOT_FOUND", "finstage_market.errors", "1d"]


def test_a_program_that_uses_the_client_type_checks(client: Environment) -> None:
    client.type_check("use_client.py")


def test_the_client_gives_every_error_again(client: Environment) -> None:
    assert client.run("client_names.py") == []


def test_without_pandas_the_client_says_what_to_install_for_a_frame(
    client: Environment, price_target: str
) -> None:
    assert "'finstage-client[pandas]'" in client.run("client_without_pandas.py", price_target)


def test_the_cache_brings_a_logger_and_nothing_else(cache: Environment) -> None:
    assert cache.installed() - {"typing-extensions"} == {"finstage-cache", "structlog"}


def test_the_cache_works_alone(cache: Environment) -> None:
    assert cache.run("use_cache.py") == ["42", "MISS", "HIT"]


def test_a_program_that_uses_the_cache_type_checks(cache: Environment) -> None:
    cache.type_check("use_cache.py")


def test_the_contracts_bring_grpc_and_nothing_else(contracts: Environment) -> None:
    needed = {"finstage-contracts", "googleapis-common-protos", "grpcio", "protobuf", "typing-extensions"}
    # types-… are put there by the test below.
    assert {name for name in contracts.installed() if not name.startswith("types-")} == needed


def test_the_contracts_work_alone(contracts: Environment, price_target: str) -> None:
    assert contracts.run("use_contracts.py", price_target) == ["AAPL", "189.25"]


def test_a_program_that_uses_the_contracts_type_checks(contracts: Environment, wheel_folder: Path) -> None:
    # Neither protobuf nor grpcio has types of its own, and grpcio's generator writes none for its stubs.
    contracts.install("types-grpcio", "types-protobuf", wheels=wheel_folder)
    contracts.type_check("use_contracts.py", "--allow-untyped-calls")
