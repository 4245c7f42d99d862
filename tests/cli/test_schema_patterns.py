"""The patterns of the plan's schema in the engine that editors have: JavaScript's, with flag u.

They are ECMAScript's, while the tests of the forms judge them with Python's.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioner.plan.schema.generate import plan_schema

TEXTS = [
    *(
        "",
        "a",
        "A",
        "lan",
        "eno1",
        "lo",
        "a b",
        "é",
        "1",
        "07",
        "68",
        "1500",
        "65536",
        "true",
        "off",
    ),
    *("10.0.0.1", "10.0.0.1/24", "256.0.0.1", "fd77::1", "fe80::1", "::1", "1:2:3:4:5:6:7:8:9"),
    *("10.0.0.1-10.0.0.9", "02:00:00:00:00:01", "03:00:00:00:00:01", "128M", "1 GiB", "20G", "1T"),
    *("5%", "100.1%", "0x88cc", "0x0800", "tcp/22", "command ls -l", "auto", "web -> db tcp/22"),
    *(
        "a -/> b tcp/22 or refused",
        "web to db",
        "/dev/sda",
        "/dev/../a",
        "/etc/motd",
        "0644",
        "root:a",
    ),
    *(
        "file:x",
        "https://a/b",
        "a" * 40,
        "a" * 64,
        "a" * 200,
        "$6$salt$" + "a" * 86,
        "me@[fd00::1]:22",
    ),
    *("home.example.org", "Home", "devices/rng@x", "a\nb", "vm:web1", "nginx=1.2~3"),
]
PAGE = """\
<!DOCTYPE html><meta charset="utf-8"><pre id="out"></pre><script>
const patterns = %s, texts = %s;
function judged(pattern) {
  try { return texts.map(text => new RegExp(pattern, "u").test(text) ? 1 : 0).join(""); }
  catch (error) { return String(error).replaceAll(" ", "_"); }
}
document.getElementById("out").textContent = "[" + patterns.map(judged).join(" ") + "]";
</script>
"""


def patterns(form: Any) -> Iterator[str]:  # noqa: ANN401  (JSON)
    if isinstance(form, list):
        for one in form:
            yield from patterns(one)
    elif isinstance(form, dict):
        if isinstance(form.get("pattern"), str):
            yield form["pattern"]
        for one in form.values():
            yield from patterns(one)


def in_a_browser(page: Path, profile: Path) -> str:
    """Show a page without any network, and give the text of its DOM."""
    argv = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]
    argv += [f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    shown = subprocess.run(
        ["unshare", "-n", *argv],
        env=os.environ | {"HOME": str(profile)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return shown.stdout


def test_javascript_and_python_read_each_pattern_alike(tmp_path: Path) -> None:
    known = sorted(set(patterns(plan_schema())))
    assert len(known) > 30
    page = tmp_path / "page.html"
    page.write_text(PAGE % (json.dumps(known), json.dumps(TEXTS)))
    shown = in_a_browser(page, tmp_path / "profile")
    (told,) = re.findall(r'<pre id="out">\[(.*?)\]</pre>', shown)
    ours = [
        "".join(str(int(bool(re.search(one, text, re.ASCII)))) for text in TEXTS) for one in known
    ]
    assert dict(zip(known, told.split(" "), strict=True)) == dict(zip(known, ours, strict=True))
