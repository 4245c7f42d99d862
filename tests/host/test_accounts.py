"""Passwords in the clear, hashed: by openssl, held against the C library's crypt(3)."""

import ctypes

import pytest

from provisioner.errors import VmnetError
from provisioner.host.system import accounts

LIBCRYPT = ctypes.CDLL("libcrypt.so.1")
LIBCRYPT.crypt.restype = ctypes.c_char_p


@pytest.mark.parametrize("password", ["x", "two words", "é😀", "$6$$(id)`\\'\"", "x" * 256])
def test_the_guest_takes_the_password_that_the_plan_says(password: str) -> None:
    hashed = accounts.hashed("lab", "web", password)
    assert hashed.startswith("$6$")
    assert LIBCRYPT.crypt(password.encode(), hashed.encode()).decode() == hashed


def test_the_same_plan_gives_the_same_guest() -> None:
    assert accounts.hashed("lab", "web", "x") == accounts.hashed("lab", "web", "x")
    assert accounts.hashed("lab", "web", "x") != accounts.hashed("lab", "db", "x")


def test_the_salt_tells_nothing_of_the_password() -> None:
    one, other = (accounts.hashed("lab", "web", word).split("$")[2] for word in "ab")
    assert one == other


def test_a_password_that_would_be_cut_off_is_refused_and_not_repeated() -> None:
    with pytest.raises(VmnetError) as caught:
        accounts.hashed("lab", "web", "é" * 129)
    assert caught.value.what == "the password of web is longer than 256 bytes"
