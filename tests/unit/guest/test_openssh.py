"""What OpenSSH is told: nothing of it can be taken for an option, and keys are always checked."""

import shlex
import subprocess
from pathlib import Path

import pytest

from provisioner.errors import VmnetError
from provisioner.guest import host_key, openssh
from provisioner.guest.openssh import CopySpec, Identity, SshLogin

WEB = SshLogin("lab", "web", "root", "10.77.0.9", "/var/lib/vmnet/lab/ssh/known_hosts")
SIX = SshLogin("lab", "six", "debian", "fd77::9", "/a 100% folder/known_hosts")
STRICT = [
    *("-F", "none", "-o", "HostKeyAlias=vmnet:lab:web"),
    *("-o", 'UserKnownHostsFile="/var/lib/vmnet/lab/ssh/known_hosts"'),
    *("-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"),
    *("-o", "UpdateHostKeys=no", "-o", "ConnectTimeout=10"),
]


def understood(*argv: str) -> dict[str, str]:
    """Give how ssh itself understands a command line or a file."""
    ran = subprocess.run(["ssh", "-G", *argv], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in ran.stdout.splitlines() if " " in line)


def test_ssh_is_told_whom_to_expect_and_each_word_is_quoted() -> None:
    argv = openssh.ssh(WEB, ["echo", "a b", "$HOME"])
    assert argv == ["ssh", *STRICT, "-l", "root", "--", "10.77.0.9", "echo 'a b' '$HOME'"]


def test_a_key_of_the_users_choice_is_the_only_one_that_is_offered() -> None:
    argv = openssh.ssh(WEB, (), Identity(("/k",), alone=True))
    assert argv[1 : argv.index("-l")] == [*STRICT, "-o", "IdentitiesOnly=yes", "-i", "/k"]


def test_the_guest_that_is_jumped_through_is_checked_too() -> None:
    argv = openssh.ssh(SIX, (), jump=WEB)
    told = understood(*argv[1:])
    assert told["hostkeyalias"] == "vmnet:lab:six"
    assert told["userknownhostsfile"] == "/a 100% folder/known_hosts" or "100" in str(told)
    inner = shlex.split(told["proxycommand"].replace("%%", "%"))
    assert inner[: len(STRICT) + 1] == ["ssh", *STRICT]
    assert inner[len(STRICT) + 1 :] == ["-l", "root", "-W", "[%h]:%p", "--", "10.77.0.9"]


def test_scp_gets_paths_that_are_nothing_but_paths() -> None:
    there = openssh.scp(SIX, CopySpec("-x:y", "six", "/srv/a b", to_guest=True), folders=True)
    assert there[-4:] == ["-r", "--", "./-x:y", "debian@[fd77::9]:/srv/a b"]
    back = openssh.scp(WEB, CopySpec("/x", "web", "y", to_guest=False))
    assert back == ["scp", *STRICT, "--", "root@10.77.0.9:y", "/x"]


@pytest.mark.parametrize(
    ("words", "copy"),
    [
        (("a", "web:"), CopySpec("a", "web", "", to_guest=True)),
        (("web:/etc/x:y", "."), CopySpec(".", "web", "/etc/x:y", to_guest=False)),
        (("./web:x", "web:x"), CopySpec("./web:x", "web", "x", to_guest=True)),
    ],
)
def test_a_copys_words_say_which_way_it_goes(words: tuple[str, str], copy: CopySpec) -> None:
    assert openssh.copy_spec(*words, ["web"]) == copy


@pytest.mark.parametrize("words", [("a", "b"), ("web:a", "web:b"), ("wev:a", "b"), (":a", "b")])
def test_other_words_are_no_copy(words: tuple[str, str]) -> None:
    with pytest.raises(VmnetError):
        openssh.copy_spec(*words, ["web"])


@pytest.mark.parametrize(
    "hostile",
    [
        {"plan": "-oProxyCommand=x"},
        {"vm": "web\nProxyCommand x"},
        {"vm": "%h"},
        {"user": "a b"},
        {"user": "-l"},
        {"address": "-oProxyCommand=x"},
        {"address": "10.0.0.1 x"},
    ],
)
def test_a_login_holds_nothing_but_names_and_an_address(hostile: dict[str, str]) -> None:
    good = {"plan": "lab", "vm": "web", "user": "root", "address": "10.0.0.1", "known_hosts": "/k"}
    with pytest.raises(ValueError, match=r"."):
        SshLogin(**(good | hostile))


def test_a_path_that_ssh_would_misread_is_refused() -> None:
    for path in ('/a"b', "/a\nb", "/a\x1bb"):
        with pytest.raises(VmnetError):
            SshLogin("lab", "web", "root", "10.0.0.1", path)


def test_a_config_says_to_ssh_what_the_command_line_does(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(openssh.config([(WEB, ""), (SIX, "web")], ["far: no way"]))
    web, six = understood("-F", str(file), "web"), understood("-F", str(file), "lab-six")
    asked = ("hostname", "user", "hostkeyalias", "stricthostkeychecking", "globalknownhostsfile")
    line = understood(*openssh.ssh(WEB)[1:])
    assert {key: web[key] for key in asked} == {key: line[key] for key in asked}
    assert web["userknownhostsfile"] == line["userknownhostsfile"] == WEB.known_hosts
    assert six["proxyjump"] == "lab-web"
    assert six["hostname"] == "fd77::9"
    assert file.read_text().endswith("\n# far: no way\n")


def test_a_known_hosts_file_is_read_by_whole_names() -> None:
    text = "# vmnet:lab:web x\nother,vmnet:lab:web2 ssh-ed25519 AAAA\nvmnet:lab:db ssh-ed25519 A\n"
    known = {name: openssh.knows(text, name) for name in ("vmnet:lab:web", "vmnet:lab:web2")}
    assert known == {"vmnet:lab:web": False, "vmnet:lab:web2": True}
    assert openssh.knows(text, host_key.alias("lab", "db"))
