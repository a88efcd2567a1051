"""The text forms of setting values."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.settings import (
    MAX_DEVICE_INDEX,
    BusySource,
    DeviceKind,
    DeviceSelection,
    ListenAddress,
    parse_busy_seconds,
    parse_configmap,
    parse_devices,
    parse_listen_address,
)

INDEX = st.integers(0, MAX_DEVICE_INDEX)
RANGE = st.tuples(INDEX, INDEX).map(sorted)
PORT = st.integers(0, 65535)


def test_a_letter_alone_selects_all_of_its_kind() -> None:
    assert parse_devices("f") == (DeviceSelection(DeviceKind.FLEX, None),)
    assert parse_devices("g") == (DeviceSelection(DeviceKind.GPUS, None),)
    assert parse_devices("i") == (DeviceSelection(DeviceKind.INSTANCES, None),)


def test_indices_and_ranges_select_by_number() -> None:
    assert parse_devices("g:0,1") == (DeviceSelection(DeviceKind.GPUS, frozenset({0, 1})),)
    assert parse_devices("i:0,2-4") == (DeviceSelection(DeviceKind.INSTANCES, frozenset({0, 2, 3, 4})),)


def test_selections_are_joined_by_plus() -> None:
    instances = DeviceSelection(DeviceKind.INSTANCES)
    assert parse_devices("g+i") == (DeviceSelection(DeviceKind.GPUS), instances)
    assert parse_devices("g:0,2-4+i") == (DeviceSelection(DeviceKind.GPUS, frozenset({0, 2, 3, 4})), instances)


@given(st.sampled_from("gi"), st.lists(INDEX | RANGE, min_size=1))
def test_every_list_of_indices_and_ranges_selects_their_union(letter: str, parts: list[int | list[int]]) -> None:
    text = ",".join(str(part) if isinstance(part, int) else f"{part[0]}-{part[1]}" for part in parts)
    expected = {index for part in parts for index in ([part] if isinstance(part, int) else range(part[0], part[1] + 1))}
    assert parse_devices(f"{letter}:{text}") == (DeviceSelection(DeviceKind(letter), frozenset(expected)),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unknown kind ''"),
        ("x", "unknown kind 'x'"),
        ("G", "unknown kind 'G'"),
        ("gpu:0", "unknown kind 'gpu'"),
        ("f:0", "f takes no indices"),
        ("f:", "f takes no indices"),
        ("g:", "'' is neither an index nor a range"),
        ("g:0,", "'' is neither"),
        ("g:0:1", "'0:1' is neither"),
        ("g:-1", "'-1' is neither"),
        ("g:0-1-2", "'0-1-2' is neither"),
        ("g: 0", "' 0' is neither"),
        ("g:\u0663", "is neither"),
        ("i:4-2", "4-2 is reversed"),
        ("g:0-99999999", "99999999 is above 1023"),
        ("g+", "unknown kind ''"),
        ("g+i+x", "unknown kind 'x'"),
        ("g:0++i", "unknown kind ''"),
    ],
)
def test_a_wrong_selection_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_devices(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":9400", "", 9400),
        ("0.0.0.0:9400", "0.0.0.0", 9400),  # noqa: S104
        ("localhost:0", "localhost", 0),
        ("gpu-node-1.example.com:80", "gpu-node-1.example.com", 80),
        ("[::1]:9400", "::1", 9400),
        ("[fe80::1%eth0]:9400", "fe80::1%eth0", 9400),
    ],
)
def test_an_address_is_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_listen_address(text) == ListenAddress(host, port)


@given(st.ip_addresses(), PORT)
def test_every_ip_address_comes_back_as_it_was_written(ip: object, port: int) -> None:
    text = f"[{ip}]:{port}" if isinstance(ip, IPv6Address) else f"{ip}:{port}"
    address = parse_listen_address(text)
    assert address == ListenAddress(str(ip), port)
    assert str(address) == text


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (ListenAddress("::1", 9400), "http://[::1]:9400"),
        (ListenAddress("fe80::1%eth0", 9400), "http://[fe80::1%25eth0]:9400"),
        (ListenAddress("localhost", 80), "http://localhost:80"),
    ],
)
def test_the_url_of_an_address_has_brackets_where_it_needs_them(address: ListenAddress, url: str) -> None:
    assert address.url() == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "port is missing"),
        ("9400", "port is missing"),
        ("http://localhost:9477", "http:// does not belong here; write localhost:9477"),
        ("https://[::1]:9400/metrics", "https:// does not belong here; write [::1]:9400"),
        (":", "port ''"),
        (":http", "port 'http'"),
        (":65536", "port '65536'"),
        (":-1", "port '-1'"),
        (":+1", "port"),
        (":\u0661", "port"),
        ("::1:9400", "in brackets"),
        ("[::1]", "port '1]'"),
        ("[::g]:9400", "'::g' is not an IPv6 address"),
        ("[127.0.0.1]:9400", "not an IPv6 address"),
        ("a b:9400", "'a b' is not a host"),
        ("http//x:9400", "not a host"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("[", r"\[").replace("+", r"\+")):
        parse_listen_address(text)


@given(st.text(st.characters(codec="utf-8"), max_size=12))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for parse in (parse_devices, parse_listen_address, parse_configmap):
        try:
            parse(text)
        except ValueError:
            continue


def test_a_configmap_is_namespace_and_name_and_none_is_no_configmap() -> None:
    assert parse_configmap("monitoring:gpu-counters") == ("monitoring", "gpu-counters")
    assert parse_configmap("none") is None
    assert parse_configmap("") is None


@pytest.mark.parametrize("text", ["counters", "a:b:c", ":b", "a:", "A:b", "a/b:c"])
def test_a_wrong_configmap_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        parse_configmap(text)


def test_busy_seconds_are_a_list_of_sources_or_none() -> None:
    assert parse_busy_seconds("gpu, encoder,gpu") == {BusySource.GPU, BusySource.ENCODER}
    assert parse_busy_seconds("none") == parse_busy_seconds("") == frozenset()
    for text in ("sm", "gpu,none", "GPU"):
        with pytest.raises(ValueError, match="unknown name"):
            parse_busy_seconds(text)
