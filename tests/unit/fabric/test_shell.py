"""The command line that runs a program on a host, as its inventory says."""

import shlex
from typing import Any

import pytest

from provisioner.errors import VmnetError
from provisioner.fabric.remote.shell import HostShell, shell_of

OPTIONS = "-e none -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=3"


def argv(said: dict[str, Any], **words: Any) -> str:  # noqa: ANN401  (of any option)
    return shlex.join(shell_of("h1", said).argv("true", **words))


@pytest.mark.parametrize(
    ("said", "into"),
    [
        ({}, "-- h1"),
        ({"host": "10.0.0.5", "user": "root", "port": 2222}, "-p 2222 -l root -- 10.0.0.5"),
        ({"key": "~/.ssh/lab", "host": "h9"}, "-i '~/.ssh/lab' -- h9"),
        ({"common_args": "-o ProxyJump=gate", "extra_args": "-4"}, "-o ProxyJump=gate -4 -- h1"),
        ({"ssh_args": "-o 'ProxyCommand=nc %h %p'"}, "-o 'ProxyCommand=nc %h %p' -- h1"),
        ({"host": "-oProxyCommand=reboot"}, "-- -oProxyCommand=reboot"),
    ],
)
def test_ssh_logs_in_as_the_inventory_says(said: dict[str, Any], into: str) -> None:
    assert argv(said) == f"ssh -T -o BatchMode=yes {OPTIONS} {into} true"


def test_a_program_that_has_the_terminal_may_ask_and_the_log_gets_what_ssh_says_itself() -> None:
    assert argv({}, terminal=True) == f"ssh -t {OPTIONS} -- h1 true"
    log = "-o LogLevel=ERROR -E /proc/1/fd/3"
    assert argv({}, log="/proc/1/fd/3") == f"ssh -T -o BatchMode=yes {log} {OPTIONS} -- h1 true"


def test_a_host_that_is_this_one_needs_no_ssh() -> None:
    here = shell_of("h1", {"connection": "local"})
    assert here.argv(here.vmnet(["ls"]), log="x") == ["sh", "-c", "vmnet ls"]


def test_another_user_is_reached_by_sudo_and_another_vmnet_by_its_path() -> None:
    said = {"become": "True", "become_user": "lab", "executable": "/opt/vm net"}
    assert shell_of("h1", said).vmnet(["exec", "a", "--", "x y"]) == (
        "sudo -n -H -u lab -- '/opt/vm net' exec a -- 'x y'"
    )
    assert shell_of("h1", {"become": "False"}).vmnet(["ls"]) == "vmnet ls"
    assert HostShell(("--", "h1")).line(["a;b"]) == "'a;b'"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"connection": "community.docker.docker"}, "its connection is community.docker.docker"),
        ({"become": "yes", "become_method": "su"}, "its become_method is su, and not sudo"),
        ({"common_args": "-o 'ProxyJump"}, "its arguments of ssh are no words"),
    ],
)
def test_another_way_than_ssh_and_sudo_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(VmnetError, match=why) as refused:
        shell_of("h1", said)
    assert refused.value.fix == "log in to it yourself, and run the command there"
