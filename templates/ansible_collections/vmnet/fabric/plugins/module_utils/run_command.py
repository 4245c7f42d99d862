"""Runs on a host: the words that standard input has, as JSON, and tells how they have ended.

It is sent as a whole, and imports what is quick to import: a module of Ansible's takes a quarter of
a second more to start. Whoever is connected may go: the command is run to its end.
"""

import json
import shutil
import subprocess
import sys
import time

SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"  # the PATH of who comes by ssh often lacks them


def main() -> None:
    """Run it; print, on a line of its own, the clock and how it has ended, if it was found."""
    asked = json.load(sys.stdin)
    told = {"clock": time.time()}
    program = shutil.which(asked["executable"]) or shutil.which(asked["executable"], path=SYSTEM)
    if program:
        within = ["timeout", "--signal=TERM", "--kill-after=30", str(asked["seconds"])]
        began = time.monotonic()
        ran = subprocess.run(
            [*within, program, *asked["words"]],
            input=asked["plan"].encode(),
            capture_output=True,
            check=False,
        )
        told["seconds"] = time.monotonic() - began
        told["rc"] = ran.returncode
        told["stdout"] = ran.stdout.decode(errors="replace")
        told["stderr"] = ran.stderr.decode(errors="replace")
    sys.stdout.write(f"\n{json.dumps(told)}\n")


main()
