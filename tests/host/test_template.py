"""Templates that users write, good ones and the worst: real children, real limits."""

import ctypes
import os
import resource
import runpy
import select
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import Complaints, Exit, VmnetError, Where
from provisioner.guest.domain import Domain
from provisioner.guest.xml import render
from provisioner.guest.xml.template import Template
from provisioner.host.system import untrusted
from provisioner.host.system.plan_files import Fence
from provisioner.host.system.untrusted import UntrustedRun
from provisioner.host.template import fill
from tests.builders.domain import SEEDED

HOUSE = Path(__file__).parents[2]
OWN = (HOUSE / "templates" / "domain.xml.j2").read_text()
FENCE = HOUSE / "provisioner" / "host" / "template" / "fence.py"
MORE = """\
    <watchdog model="i6300esb" action="reset"/>
    <rng model="virtio">
      <backend model="random">/dev/urandom</backend>
    </rng>
  </devices>
"""


def template(text: str) -> Template:
    return Template("my.xml.j2", text)


def refused(text: str, domain: Domain = SEEDED, *allow: str) -> VmnetError:
    """Return the first complaint about a template, whose child has ended at its CPU limit."""
    used_s = processor_s()
    try:
        fill.domain_xml(template(text), domain, allow)
    except VmnetError as refusal:
        error = refusal
    except Complaints as several:
        error = several.errors[0]
    else:
        pytest.fail("nobody complained")
    assert processor_s() - used_s < 2.5
    assert children() == []
    assert error.status is Exit.BAD_INPUT
    assert error.fix
    assert error.what.isprintable()
    return error


def processor_s() -> float:
    """Say how much processor time children that have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def children() -> list[str]:
    """List the processes that fill in templates: ours, and those that nobody waits for."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        ours = parent in {os.getpid(), 1}
        if ours and b"template/child.py" in words and str(HOUSE).encode() in words:
            found.append(str(process))
    return found


def place(error: VmnetError) -> str:
    return f"{error.where.file}:{error.where.line}" if error.where else "nowhere"


def validated(file: Path) -> tuple[int, str]:
    """Ask libvirt's own schema."""
    argv = ["virt-xml-validate", str(file), "domain"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.parametrize("domain", [SEEDED, replace(SEEDED, accel="kvm", seed=None, nics=())])
def test_vmnet_s_own_template_gives_the_same_in_the_child(domain: Domain) -> None:
    assert fill.domain_xml(template(OWN), domain, ()) == render.domain_xml(domain)


def test_a_template_that_adds_to_vmnet_s_own_is_filled_in_and_libvirt_finds_it_good(
    tmp_path: Path,
) -> None:
    text = OWN.replace("  </devices>\n", MORE).replace(
        "  <metadata>\n",
        "  <description>{{ domain.vm|upper }} &amp; {{ domain.nics|length }} cards: "
        "{{ domain.nics|map(attribute='mac')|join(', ') }}</description>\n  <metadata>\n",
    )
    (tmp_path / "target.j2").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    (tmp_path / "my.xml.j2").symlink_to("target.j2")
    xml = fill.domain_xml(fill.read(Fence(tmp_path), "my.xml.j2"), SEEDED, ())
    assert "<description>WEB &amp; 2 cards: 02:9e:c1:0a:7b:78, 02:de:b0:65:83:bd<" in xml
    assert MORE in xml
    file = tmp_path / "domain.xml"
    file.write_text(xml)
    assert validated(file) == (0, f"{file} validates\n")


def test_the_template_of_the_docs_does_what_the_docs_say(tmp_path: Path) -> None:
    page = (HOUSE / "docs" / "reference" / "templates.md").read_text()
    text = page.partition("```jinja\n")[2].partition("```")[0]
    xml = fill.domain_xml(template(text), SEEDED, ())
    assert "<title>web of lab</title>" in xml
    file = tmp_path / "domain.xml"
    file.write_text(xml)
    assert validated(file) == (0, f"{file} validates\n")


ESCAPES = [
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ ().__class__.__base__.__subclasses__() }}",
    "{{ domain.__class__ }}",
    "{{ domain.__dict__ }}",
    "{{ domain['__class__'] }}",
    "{{ domain|attr('__class__') }}",
    "{{ domain|attr('__cla' ~ 'ss__') }}",
    "{{ domain.nics|map(attribute='__class__')|list }}",
    "{{ '{0.__class__}'.format(domain) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(domain) }}",
    "{{ ('{0.__class__.__init__}'|attr('for' ~ 'mat'))(domain) }}",
    "{{ ('{x.__class__}'|attr('format_map'))({'x': domain}) }}",
    "{{ ['{0.__class__}']|map('format', domain)|first.format(domain) }}",
    "{{ '{0.__class__}'|e|attr('format')(domain) }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ namespace.__class__ }}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{{ range.__self__ }}",
    "{{ dict.mro() }}",
    "{{ dict.__subclasses__() }}",
    "{{ caller.gi_frame }}",
    "{{ [1].append(2) }}",
    "{{ {}.update({'a': 1}) }}",
    "{{ lipsum.__globals__ }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ environment }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ (domain.nics|map('attr', '__init__')|first).__globals__ }}",
    "{{ ''|map('system')|list }}{{ ['id']|map('system')|list }}",
]


@pytest.mark.parametrize("payload", ESCAPES)
def test_nothing_leads_out_of_the_sandbox(payload: str) -> None:
    error = refused(f"<domain>\n  {payload}\n</domain>")
    assert place(error) in {"my.xml.j2:2", "rendered XML of web:1"}
    assert "uid=" not in error.what


HANGS = {
    "power, folded while compiling": "{{ 9**(9**(9**9)) }}",
    "power": "{{ 9**(9**9) }}",
    "power of a float": "{{ 9.5**(9**9) }}",
    "text": "{{ 'A'*10**8 }}",
    "text turned round": "{{ 10**8*'A' }}",
    "list": "{{ [1]*10**9 }}",
    "width": "{{ '%0500000000d'|format(1) }}",
    "width by %": "{{ '%0500000000d' % 1 }}",
    "width from outside": "{{ '%*d'|format(500000000, 1) }}",
    "width by format": "{{ '{:0500000000d}'.format(1) }}",
    "width by a field's field": "{{ '{:{}}'.format(1, 500000000) }}",
    "width by format_map": "{{ '{a:9999999}'.format_map({'a': 1}) }}",
    "centre": "{{ 'x'|center(10**9) }}",
    "nested ranges": "{% for a in range(9**5) %}{% for b in range(9**5) %}{% endfor %}{% endfor %}",
    "nested ranges that say something": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}"
    ),
    "a range too long": "{{ range(10**7)|list }}",
    "list of lists": "{{ range(99999)|map('string')|map('center', 99999)|list|length }}",
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "two macros": ("{% macro a(n) %}{{ a(n+1) }}{{ a(n+1) }}{% endmacro %}{{ a(0) }}"),
    "doubling": "{% set a = 'xxxxxxxxxxxxxxxx' %}" + "{% set a = a ~ a %}" * 40 + "{{ a|length }}",
    "squaring": "{% set a = 99 %}" + "{% set a = a * a %}" * 60 + "{{ a }}",
    "recursive loop": "{% for a in [[1]] recursive %}{{ loop(range(99999)) }}{% endfor %}",
    "groups": "{{ (range(99999)|list * 9)|groupby('real')|list|length }}",
}


# One step of Python's that touches half a gigabyte cannot be interrupted, only killed: on a busy
# machine that comes first, and nobody knows the line.
HEAVY = {"doubling", "squaring", "list of lists", "groups", "a range too long"}


@pytest.mark.parametrize("case", HANGS)
def test_what_computes_without_end_is_ended_and_its_line_is_told(case: str) -> None:
    error = refused(f"<domain>\n{HANGS[case]}\n</domain>")
    assert place(error) in ({"my.xml.j2:2", "nowhere"} if case in HEAVY else {"my.xml.j2:2"})


WRONG = {
    "undefined": ("<a>\n{{ x }}", 2, "the template asks for what there is not: 'x' is undefined"),
    "undefined field": ("\n\n {{ domain.memori }}", 3, "has no attribute 'memori'"),
    "undefined in an if": ("{% if domain.kvm %}{% endif %}", 1, "has no attribute 'kvm'"),
    "undefined in a loop": (
        "\n{% for n in domain.nics %}\n{{ n.x }}\n{% endfor %}",
        3,
        "attribute 'x'",
    ),
    "broken if": ("a\n{% if x", 2, "this is not a template: "),
    "no end": ("a\n{% for x in domain.nics %}", 2, "this is not a template: Unexpected end"),
    "no such filter": ("a\n\n{{ domain.name|shell }}", 3, "No filter named 'shell'"),
    "no such tag": ("{% do domain.x() %}", 1, "unknown tag 'do'"),
    "include": ("a\n{% include '/etc/passwd' %}", 2, 'asks for the file "/etc/passwd"'),
    "include upwards": ("a\n{% include '../../etc/passwd' %}", 2, "asks for the file"),
    "include its own": ("{% include 'my.xml.j2' %}", 1, 'asks for the file "my.xml.j2"'),
    "import": ("a\n{% import 'x.j2' as x %}", 2, 'asks for the file "x.j2"'),
    "extends": ("{% extends 'other.xml.j2' %}", 1, 'asks for the file "other.xml.j2"'),
    "from": ("{% from '/etc/passwd' import x %}", 1, 'asks for the file "/etc/passwd"'),
    "include of many": ("\n{% include ['a', 'b'] %}", 2, "asks for the file"),
    "include without its value": ('a\n{% include "interface.xml.j2" %}', 2, "'nic' is undefined"),
    "a value changed": ("{% set domain.name = 'x' %}", 1, "cannot assign attribute"),
    "division": ("a\n{{ 1 // 0 }}", 2, "ZeroDivisionError"),
    "shell's words": ("a\n{{ domain.name + 1 }}", 2, "TypeError"),
    "a terminal's words": ("{{ {}['\\x1b[2J'] }}", 1, "\\x1b[2J"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_template_is_told_at_its_line(case: str) -> None:
    text, line, said = WRONG[case]
    error = refused(text)
    assert place(error) == f"my.xml.j2:{line}"
    assert said in error.what


def test_the_place_is_the_word_and_the_mend_names_what_there_is() -> None:
    error = refused("<domain>\n  <vcpu>{{ domain.cpu }}</vcpu>\n</domain>")
    line = "  <vcpu>{{ domain.cpu }}</vcpu>"
    assert error.where == Where("my.xml.j2", 2, line.index(".cpu") + 2, line)
    assert error.fix
    assert error.fix.startswith(
        "there are domain, cmdline, possible_cpus, mark, namespace, emulator; domain has name,"
    )


XML = render.domain_xml(SEEDED)


def own(words: str, instead: str) -> str:
    assert words in OWN
    return OWN.replace(words, instead, 1)


OPTIONS = "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"
INJECTED = {
    # the template; where vmnet's own has the line; what is said
    "doctype": (
        "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>" + OWN,
        "<domain",
        "<!DOCTYPE",
    ),
    "qemu's options": (
        own("</domain>", OPTIONS + "</domain>"),
        "</domain>",
        "qemu:commandline gives",
    ),
    "unquoted attribute": (
        own('<serial type="pty"', "<serial type={{ 'pty' }}"),
        "<serial",
        "this is not XML",
    ),
    "a value that is XML": (
        own("<on_poweroff>", "{{ '<qemu:commandline/>'|safe }}<on_poweroff>"),
        "<on_poweroff>",
        "qemu:commandline gives QEMU options",
    ),
    "a control": (
        own("<on_poweroff>", "{{ '\\x0b' }}<on_poweroff>"),
        "<on_poweroff>",
        "the invisible",
    ),
    "hostdev": (own("</devices>", "<hostdev/></devices>"), "</devices>", "devices/hostdev hands"),
}


@pytest.mark.parametrize("case", INJECTED)
def test_what_the_template_makes_is_judged_as_it_is(case: str) -> None:
    text, at, said = INJECTED[case]
    error = refused(text)
    assert place(error) == f"rendered XML of web:{XML[: XML.index(at)].count(chr(10)) + 1}"
    assert error.what.startswith(said)


def test_half_a_character_is_no_answer() -> None:
    error = refused(own("<on_poweroff>", "{{ '\\ud800' }}<on_poweroff>"))
    assert error.what == "my.xml.j2: the template broke the program that fills it in"


def test_a_value_cannot_become_an_element_even_where_nothing_is_escaped() -> None:
    evil = replace(SEEDED, cmdline="x<qemu:commandline/>")
    assert fill.domain_xml(template(OWN), evil, ()) == render.domain_xml(evil)
    text = "{% autoescape false %}" + OWN + "{% endautoescape %}"
    assert refused(text, evil).what.startswith("the text of metadata/vmnet:domain is cut by")
    assert refused(OWN.replace('"{{ domain.seed }}"', "{{ domain.seed }}")).what.startswith(
        "this is not XML"
    )


def test_what_the_plan_lets_through_reaches_libvirt() -> None:
    text = OWN.replace("  </devices>", '    <sound model="ich9"/>\n  </devices>')
    assert (
        refused(text).fix
        == "take it out, or let it through in the plan: allow_xml: [devices/sound]"
    )
    assert '<sound model="ich9"/>' in fill.domain_xml(template(text), SEEDED, ["devices/sound"])


BEHIND_THE_FENCE = """
import ctypes, os, runpy, signal, socket, sys
fence = runpy.run_path(sys.argv[1])
fence["limit_ourselves"]()
fence["give_up_the_rest"]()
seen = []
def attempt(name, act):
    try:
        seen.append(f"{name}: {act()}")
    except OSError as error:
        seen.append(f"{name}: {error.strerror}")
attempt("open", lambda: os.open("/etc/passwd", os.O_RDONLY))
attempt("write", lambda: os.open("/tmp/vmnet-x", os.O_CREAT | os.O_WRONLY))
attempt("socket", lambda: socket.socket())
attempt("fork", os.fork)
attempt("exec", lambda: os.execv("/bin/true", ("true",)))
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("list", lambda: os.listdir("/"))
attempt("ptrace", lambda: ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))
attempt("root", lambda: os.setresuid(0, 0, 0))
attempt("environment", lambda: sorted(os.environ))
os.write(1, "\\n".join(seen).encode())
os._exit(0)
"""


def test_behind_the_fence_there_is_nothing_to_open_to_start_or_to_talk_to() -> None:
    argv = [sys.executable, "-I", "-S", "-c", BEHIND_THE_FENCE, str(FENCE)]
    ran = untrusted.run(argv, b"", deadline_s=10, most_bytes=1 << 16)
    assert ran.returncode == 0
    no = "Operation not permitted"
    assert ran.stdout.decode().splitlines() == [
        *(f"{what}: {no}" for what in ("open", "write", "socket", "fork", "exec", "kill", "list")),
        "ptrace: -1",
        f"root: {no}",
        "environment: ['LC_CTYPE']",  # Python's own work
    ]


def test_the_numbers_of_calls_are_those_of_each_architecture() -> None:
    # libseccomp, which QEMU needs, knows them all; versions before 2.5.5 lack LoongArch.
    known = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    fence = runpy.run_path(str(FENCE))
    names = [name.encode() for name in fence["_COMPUTING"]]
    for machine, (number, calls) in fence["ARCHITECTURES"].items():
        found = tuple(known(ctypes.c_uint32(number), name) for name in names)
        assert found == calls or (machine == "loongarch64" and set(found) == {-1})


def test_without_seccomp_the_other_measures_hold() -> None:
    unfiltered = "fence['give_up_the_rest'].__globals__['_only_compute'] = lambda *_: None\n"
    script = BEHIND_THE_FENCE.replace('fence["limit', unfiltered + 'fence["limit')
    script = script.replace("os.execv", "print")  # it would start, and find no library to load
    argv = [sys.executable, "-I", "-S", "-c", script, str(FENCE)]
    ran = untrusted.run(argv, b"", deadline_s=10, most_bytes=1 << 16)
    said = dict(line.split(": ", 1) for line in ran.stdout.decode().splitlines())
    none_left, no = "Too many open files", "Operation not permitted"
    assert {said[what] for what in ("open", "write", "socket", "list")} == {none_left}
    assert said["fork"] == "Resource temporarily unavailable"
    assert {said["kill"], said["root"]} == {no}


def test_what_a_broken_child_says_is_not_believed() -> None:
    from provisioner.guest.xml.template import parsed

    for said in (
        b"",
        b"xml",
        b"xm",
        b"\0" * 99,
        b"not\n",
        b"not\n[]",
        b"not\n{}",
        b"not\nnull",
        b"xml\n\xff",
        b'not\n{"kind": "no such", "line": 1, "message": ""}',
        b'not\n{"kind": "slow", "line": -1, "message": ""}',
        b'not\n{"kind": "slow", "line": 99999999999999, "message": ""}',
        b'not\n{"kind": ["slow"], "line": true, "message": {"\x1b[2J": 1}}',
        b"not\n" + b"[" * 100_000,
        b"xml\n" + b"x" * ((1 << 20) + 1),
    ):
        with pytest.raises(VmnetError) as caught:
            parsed(said, template("one line"), {})
        assert caught.value.what.isprintable()
        assert caught.value.status is Exit.BAD_INPUT


def gone(pid: int) -> bool:
    """Tell whether a process has ended, or ends as soon as it is scheduled again."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended = bool(select.select([process], [], [], 2)[0])
    os.close(process)
    return ended


def test_a_program_that_is_not_trusted_is_bounded_in_time_and_words(tmp_path: Path) -> None:
    shell = ["sh", "-c"]
    began = time.monotonic()
    assert untrusted.run([*shell, "cat; pwd"], b"in ", deadline_s=5, most_bytes=99) == UntrustedRun(
        b"in /\n", 0
    )
    assert untrusted.run([*shell, "exec yes"], b"", deadline_s=5, most_bytes=99).too_much
    slow = untrusted.run(
        [*shell, f"sleep 300 & echo $! > {tmp_path}/pid; while :; do :; done"],
        b"",
        deadline_s=0.5,
        most_bytes=9,
    )
    assert slow.late
    shut = untrusted.run(
        [*shell, "exec >&-; while :; do :; done"], b"", deadline_s=0.5, most_bytes=9
    )
    assert shut.late
    idle = untrusted.run(["sleep", "300"], b"", deadline_s=0.3, most_bytes=9)
    assert idle == UntrustedRun(b"", -9, late=True)
    left = untrusted.run([*shell, "sleep 300 >&- 2>&- & echo $!"], b"", deadline_s=5, most_bytes=99)
    assert time.monotonic() - began < 5
    for pid in ((tmp_path / "pid").read_text(), left.stdout.decode()):
        assert gone(int(pid))
    with pytest.raises(VmnetError, match="cannot start /no/such"):
        untrusted.run(["/no/such"], b"", deadline_s=1, most_bytes=1)


def test_eight_threads_fill_templates_side_by_side() -> None:
    done: list[str] = []
    threads = [
        threading.Thread(target=lambda: done.append(fill.filled(template(OWN), SEEDED)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert done == [render.domain_xml(SEEDED)] * 8


def test_a_file_that_is_no_template_is_told_with_its_place_in_the_plan(tmp_path: Path) -> None:
    where = Where("vmnet.yaml", 3, 17, "  web: {template: x}")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * ((256 << 10) + 1))
    (tmp_path / "latin").write_bytes(b"\xe9")
    (tmp_path / "dangling").symlink_to("nowhere")
    for name, said in {
        "none": 'the template "none" cannot be used: No such file or directory',
        "dangling": "cannot be used: No such file or directory",
        "fifo": "is not a regular file",
        ".": "is not a regular file",
        "/dev/zero": "is not a regular file",
        "large": "is larger than 256 KiB",
        "latin": "is not UTF-8 text (line 1, column 1)",
        "fifo/x": "Not a directory",
    }.items():
        with pytest.raises(VmnetError) as caught:
            fill.read(Fence(tmp_path, (Path("/dev/zero"),)), name, where)
        assert said in caught.value.what
        assert (caught.value.where, caught.value.status) == (where, Exit.BAD_INPUT)


def test_characters_that_hide_something_are_told_at_their_place_in_the_template(
    tmp_path: Path,
) -> None:
    (tmp_path / "t").write_text("one\ntwo \x1b[2J\nthree \u202e\n")
    with pytest.raises(Complaints) as caught:
        fill.read(Fence(tmp_path), "t")
    places = [(e.where.line, e.where.column) for e in caught.value.errors if e.where]
    assert places == [(2, 5), (3, 7)]


def test_a_plan_without_templates_loads_none_of_this() -> None:
    script = (
        "import provisioner.commands.up, provisioner.guest.xml.render, sys\n"
        "import provisioner.host.libvirt.domains\n"
        "of_templates = ('provisioner.host.template', 'provisioner.guest.xml')\n"
        "loaded = {m for m in sys.modules if m.startswith(of_templates)}\n"
        "of_all = ('provisioner.guest.xml', 'provisioner.guest.xml.label', "
        "'provisioner.guest.xml.render')\n"
        "print(sorted(loaded - {*of_all}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_child_that_never_ends_is_ended_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = tmp_path / "child.py"
    endless.write_text("import signal\nwhile True:\n    signal.pause()\n")
    monkeypatch.setattr(fill, "_CHILD", endless)
    monkeypatch.setattr(fill, "_DEADLINE_S", 0.2)
    with pytest.raises(VmnetError, match="takes longer than"):
        fill.filled(template(OWN), SEEDED)
    assert children() == []
