"""Whose keys `ssh_keys: auto` takes: read with nobody's files touched, kept once chosen."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from stat import S_IMODE

import pytest

from provisioner.commands.command import UP
from provisioner.commands.loading import texts
from provisioner.commands.session import Session
from provisioner.commands.target import CommandRun
from provisioner.host.guest import login_keys
from provisioner.host.system import accounts, worker
from provisioner.host.system.accounts import Account
from provisioner.network.addressing import assign
from provisioner.network.facts import Chosen, Facts
from provisioner.reconcile.resources import Snapshot

NOBODY = 65534
PLAN = """\
name: lab
accel: tcg
networks: {lan: {switch: true, subnet: 10.92.0.0/24}}
vms: {a: {nics: [lan]}}
"""


def key_at(path: Path) -> str:
    path.parent.mkdir(exist_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me@home", "-f", str(path)]
    subprocess.run(argv, check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


@pytest.fixture
def me(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """Somebody with an empty home, who is root and was not anybody else before."""
    for name in ("SSH_AUTH_SOCK", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return Account(os.geteuid(), os.getegid(), "me", home)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab"


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    socket = str(tmp_path / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE) as running:
        assert running.stdout
        running.stdout.readline()
        yield socket
        running.kill()


def test_the_usual_keys_whose_private_half_is_there_are_taken(me: Account) -> None:
    one = key_at(me.home / ".ssh" / "id_ed25519")
    key_at(me.home / ".ssh" / "id_rsa")
    (me.home / ".ssh" / "id_rsa").unlink()
    key_at(me.home / ".ssh" / "deploy")
    assert login_keys.of_caller(me).keys == (one,)


def test_the_keys_of_an_agent_are_taken_once(
    me: Account, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    one, other = (key_at(me.home / ".ssh" / name) for name in ("id_ed25519", "work"))
    for name in ("work", "id_ed25519"):
        argv = ["ssh-add", "-q", str(me.home / ".ssh" / name)]
        subprocess.run(argv, check=True, capture_output=True)
    assert login_keys.of_caller(me).keys == (other, one)


def test_an_agent_that_has_gone_is_none(me: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(me.home / "gone"))
    one = key_at(me.home / ".ssh" / "id_ed25519")
    assert login_keys.of_caller(me).keys == (one,)


def test_files_that_are_not_the_callers_are_not_read(me: Account, tmp_path: Path) -> None:
    key_at(me.home / ".ssh" / "id_ed25519")
    stranger = Account(NOBODY, NOBODY, "nobody", me.home)
    assert login_keys.of_caller(stranger).keys == ()
    secret = tmp_path / "secret"
    os.mkfifo(secret)
    (me.home / ".ssh" / "id_ed25519.pub").unlink()
    (me.home / ".ssh" / "id_ed25519.pub").symlink_to(secret)
    assert login_keys.of_caller(me).keys == ()


def test_lines_that_are_no_plain_public_keys_are_left_out(me: Account) -> None:
    one = key_at(me.home / ".ssh" / "id_ed25519")
    public = me.home / ".ssh" / "id_ed25519.pub"
    public.write_text(f'command="id" {one}\nauto\nroot:x:0:0\n{one}\n')
    assert login_keys.of_caller(me).keys == (one,)


def test_under_sudo_the_caller_is_the_user_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    found = accounts.caller()
    assert (found.uid, found.name) == (NOBODY, "nobody")
    for wrong in ("", "-1", "x", "4294967295", "3999999999"):
        monkeypatch.setenv("SUDO_UID", wrong)
        assert accounts.caller().uid == os.geteuid()


def test_a_caller_without_keys_gets_one_of_the_plans_that_opens_it(
    me: Account, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    (key,) = login_keys.chosen(state).keys
    private = state / "ssh_key"
    assert (private.stat().st_uid, S_IMODE(private.stat().st_mode)) == (NOBODY, 0o600)
    argv = ["ssh-keygen", "-y", "-f", str(private)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[:2] == key.split()[:2]
    assert sorted(path.name for path in state.iterdir()) == ["authorized_keys", "ssh_key"]
    assert login_keys.private_files(state)[-1] == str(private)
    del me


def test_what_was_chosen_first_stays_whoever_comes_later(me: Account, state: Path) -> None:
    one = key_at(me.home / ".ssh" / "id_ed25519")
    assert login_keys.chosen(state).keys == (one,)
    (me.home / ".ssh" / "id_ed25519").unlink()
    (me.home / ".ssh" / "id_ed25519.pub").unlink()
    key_at(me.home / ".ssh" / "id_ed25519")
    assert login_keys.chosen(state).keys == (one,)
    assert not (state / "ssh_key").exists()


def test_a_first_up_tells_once_which_key_opens_the_guests(
    me: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMNET_STATE_DIR", str(tmp_path / "state"))
    target = texts.loaded([("lab.yaml", PLAN)], (), None)
    told: list[str] = []
    with closing(worker.start(nullcontext)) as started:
        run = CommandRun(UP, started, tell=told.append)
        session = Session(target, run, Snapshot(Facts(), {}), assign(target.plan))
        session.choose("libvirt", Chosen("qemu:///embed", ""))
        for is_new in (True, False):  # as up does, before and after it has kept them
            session.wanted(build=False)
            assert session.keep_login_keys() is is_new
    key = tmp_path / "state" / "lab" / "ssh_key"
    assert [line for line in told if line.startswith("ssh_keys ")] == [
        f"ssh_keys of the plan: whoever runs vmnet has none; vmnet ssh uses {key}"
    ]
    assert key.is_file()
    del me


def test_a_run_that_was_killed_while_it_made_a_key_is_gone_on_with(
    me: Account, state: Path
) -> None:
    for left in (".ssh_key.part", ".ssh_key.part.pub", "ssh_key"):
        (state / left).write_text("half")
    (key,) = login_keys.chosen(state).keys
    argv = ["ssh-keygen", "-y", "-f", str(state / "ssh_key")]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[:2] == key.split()[:2]
    del me


def test_what_up_would_choose_is_told_without_a_file(me: Account, state: Path) -> None:
    assert login_keys.expected(state).keys == ("ssh-ed25519 made-by-up",)
    one = key_at(me.home / ".ssh" / "id_ed25519")
    assert login_keys.expected(state).keys == (one,)
    assert list(state.iterdir()) == []


def test_ssh_is_told_of_keys_only_where_it_would_not_find_them(
    me: Account, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_at(me.home / ".ssh" / "id_ed25519")
    assert login_keys.private_files(state) == ()
    (state / "ssh_key").write_text("of an earlier run")
    own = str(me.home / ".ssh" / "id_ed25519")
    assert login_keys.private_files(state) == (own, str(state / "ssh_key"))
    (state / "ssh_key").unlink()
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    assert login_keys.private_files(state) == ()  # nobody has no home with keys
