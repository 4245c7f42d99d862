import json
import pickle

import pytest

from provisioner.plan.mac import Mac, is_mac

WEB = "02:ab:00:00:00:01"


@pytest.mark.parametrize("text", [WEB, WEB.upper(), "02-AB-00-00-00-01"])
def test_a_mac_has_one_spelling(text: str) -> None:
    assert Mac(text) == WEB


@pytest.mark.parametrize("text", ["", "02", WEB + ":00", WEB[:-1], "2:ab:0:0:0:1", "02ab00000001"])
def test_what_is_not_a_mac_is_refused(text: str) -> None:
    assert not is_mac(text)
    with pytest.raises(ValueError, match="not a MAC"):
        Mac(text)


def test_a_mac_is_the_text_of_six_bytes_and_back() -> None:
    assert Mac(WEB).packed == bytes([2, 0xAB, 0, 0, 0, 1])
    assert Mac.from_bytes(Mac(WEB).packed) == WEB
    with pytest.raises(ValueError, match="not a MAC"):
        Mac.from_bytes(bytes(5))


@pytest.mark.parametrize(
    ("text", "unicast", "local"),
    [
        (WEB, True, True),
        ("00:ab:00:00:00:01", True, False),
        ("01:00:5e:00:00:01", False, False),
        ("03:00:00:00:00:01", False, True),
        ("00:00:00:00:00:00", False, False),
        ("ff:ff:ff:ff:ff:ff", False, True),
    ],
)
def test_the_lowest_bits_tell_whose_a_mac_is(text: str, *, unicast: bool, local: bool) -> None:
    assert (Mac(text).is_unicast, Mac(text).is_local) == (unicast, local)


def test_a_mac_goes_through_json_and_pickle_as_it_is() -> None:
    assert json.dumps({"mac": Mac(WEB)}) == json.dumps({"mac": WEB})
    copy = pickle.loads(pickle.dumps(Mac(WEB)))  # noqa: S301
    assert (type(copy), copy) == (Mac, WEB)


def test_is_mac_takes_the_one_spelling_alone() -> None:
    assert is_mac(WEB)
    assert not is_mac(WEB.upper())
