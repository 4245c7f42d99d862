"""The page of a check, seen in a real browser without any network."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from provisioner.plan.load.loader import load
from provisioner.reachability.pairs import Expected
from provisioner.report.html import as_html
from tests.builders.report import (
    DEAD,
    GOOD,
    HOSTILE,
    LEAK,
    NOT_SHOWN,
    PLAN,
    pair,
    report,
    spoilt,
)

DEADLINE_S = 60.0
LEAK_BACK = replace(LEAK, pair=pair(Expected.ISOLATED, source="b", target="a"))


class Browser:
    """Chromium, driven by its DevTools protocol over two pipes: no port, no library."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        os.set_blocking(self._in, False)
        script = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        argv = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu"]
        argv += ["--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        # Its own network namespace: it could reach nobody if it wanted to.
        self.process = subprocess.Popen(
            ["unshare", "-n", "bash", "-c", script, "browser", *argv, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(profile)},
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer = b""
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **params: object) -> dict[str, Any]:
        self._number += 1
        asked: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if session:
            asked["sessionId"] = session
        os.write(self._out, json.dumps(asked).encode() + b"\0")
        while True:
            said = self._message()
            if said.get("id") == self._number:
                assert "error" not in said, said
                return dict(said["result"])
            self.events.append(said)

    def until(self, event: str) -> None:
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._message())

    def _message(self) -> dict[str, Any]:
        end = time.monotonic() + DEADLINE_S
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], end - time.monotonic())[0], "no answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has ended"
            self._buffer += part
        whole, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(whole))

    def close(self) -> None:
        for pipe in (self._in, self._out):
            os.close(pipe)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Page:
    """One open page."""

    def __init__(self, browser: Browser, path: Path) -> None:
        self.browser = browser
        browser.events.clear()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            browser.call(f"{domain}.enable", self._session)
        browser.call("Page.navigate", self._session, url=path.as_uri())
        browser.until("Page.loadEventFired")

    def resize(self, width: int) -> None:
        window = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.browser.call("Emulation.setDeviceMetricsOverride", self._session, **window)

    def js(self, expression: str) -> Any:  # noqa: ANN401  (whatever the script gives)
        ran = self.browser.call(
            "Runtime.evaluate", self._session, expression=expression, returnByValue=True
        )
        assert "exceptionDetails" not in ran, ran
        return ran["result"].get("value")

    @property
    def requested(self) -> list[str]:
        sent = (x for x in self.browser.events if x.get("method") == "Network.requestWillBeSent")
        return [one["params"]["request"]["url"] for one in sent]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    try:
        yield opened
    finally:
        opened.close()


def shown(browser: Browser, path: Path, text: str) -> Page:
    path.write_text(text, encoding="utf-8")
    return Page(browser, path)


def test_a_click_on_a_cell_shows_what_stands_behind_it(browser: Browser, tmp_path: Path) -> None:
    page = shown(browser, tmp_path / "check.html", as_html(report(GOOD, DEAD), PLAN))
    assert page.js("document.querySelectorAll('td button').length") == 1
    assert page.js("document.querySelector('td button').textContent") == "✗ no answer 1/2"
    assert page.js("document.querySelectorAll('svg rect').length") == 3
    page.js("document.querySelector('td button').click()")
    details = page.js("document.getElementById('details').innerText")
    assert "the uplink nic0 is down" in details
    assert "ip link set dev nic0 up" in details
    assert "uplink nic0: down" in details
    assert page.js("document.querySelector('td button').getAttribute('aria-pressed')") == "true"
    assert page.requested == [(tmp_path / "check.html").as_uri()]


def test_a_hostile_guest_runs_nothing_in_the_page(browser: Browser, tmp_path: Path) -> None:
    text = "".join(HOSTILE) + "<img src=x onerror=document.title='owned'>"
    page = shown(browser, tmp_path / "bad.html", as_html(spoilt(text), PLAN))
    page.js("document.querySelector('td button').click()")
    assert page.js("document.title") == "vmnet check: lab"
    assert page.js("document.querySelectorAll('img').length") == 0
    assert "onerror" in page.js("document.getElementById('details').innerText")
    assert page.requested == [(tmp_path / "bad.html").as_uri()]


def test_the_page_lets_no_other_script_run(browser: Browser, tmp_path: Path) -> None:
    text = as_html(report(GOOD), PLAN).replace("</body>", "<script>window.x = 1</script></body>")
    page = shown(browser, tmp_path / "more.html", text)
    assert page.js("typeof window.x") == "undefined"


HOME = """\
name: home
networks:
  lan: {uplink: eno1, subnet: 192.168.1.0/24, gateway: 192.168.1.1}
  guests: {uplink: eno1, mode: private, addressing: dhcp}
  lab-of-a-long-name: {switch: {nat: true, dhcp: true}, subnet: [10.77.0.0/24, "fd77::/64"]}
vms:
  web: {count: 8, nics: [lan, lab-of-a-long-name]}
  customer-a-production-web-frontend-0001: {nics: [guests, {network: lan, link: down}]}
hosts: {nas: 192.168.1.9}
"""
OVERLAPPING = """
const boxes = [...document.querySelectorAll('svg text')].map(t => [t.textContent, t.getBBox()]);
boxes.flatMap(([a, p], n) => boxes.slice(n + 1).filter(([, q]) =>
  p.x + p.width > q.x + 1 && q.x + q.width > p.x + 1 &&
  p.y + p.height > q.y + 4 && q.y + q.height > p.y + 4).map(([b]) => [a, b]))
"""


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_the_page_fits_a_window_and_its_drawing_can_be_read(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    plan = load(HOME, "p").plan
    ends = [vm.name for vm in plan.vms]
    results = [replace(GOOD, pair=pair(source=a, target=b)) for a, b in permutations(ends, 2)]
    page = shown(browser, tmp_path / "home.html", as_html(report(*results, DEAD), plan))
    page.resize(width)
    assert page.js("document.scrollingElement.scrollWidth") <= width
    assert page.js("document.querySelectorAll('svg .station').length") == 12
    assert page.js(OVERLAPPING) == []
    # The boxes are in sight without scrolling sideways, and so are names beside the matrix.
    assert page.js("document.querySelector('svg rect').getBoundingClientRect().right") < width * 0.7
    page.js("document.querySelector('td button').click()")
    panel = page.js("document.getElementById('details').getBoundingClientRect().bottom")
    assert panel <= 801


def test_a_cell_that_is_not_shown_has_its_own_sign_word_and_colour(
    browser: Browser, tmp_path: Path
) -> None:
    page = shown(browser, tmp_path / "unshown.html", as_html(report(NOT_SHOWN, LEAK_BACK), PLAN))
    page.resize(1400)
    cells = "[...document.querySelectorAll('td button')].map(b => [b.textContent, b.className])"
    assert page.js(cells) == [["○ not shown", "unknown"], ["! LEAK", "broken"]]
    legend = page.js("[...document.querySelectorAll('.note span')].map(s => s.textContent)")
    assert legend == ["! reaches and must not", "○ not shown"]
    page.js("document.querySelector('td button').click()")
    details = page.js("document.getElementById('details').innerText")
    assert "not shown" in details
