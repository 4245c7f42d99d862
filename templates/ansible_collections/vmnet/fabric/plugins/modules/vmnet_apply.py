#!/usr/bin/python
"""Run a command of vmnet on this host, its plan given by standard input."""

from __future__ import annotations

import json
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: vmnet_apply
short_description: Run a command of vmnet, its plan given by standard input
description:
  - Runs vmnet, and returns its exit status and what it prints.
  - The plan is not logged, and is in no file of the host before vmnet has judged it.
options:
  verb:
    description: The command, as up, down, plan, status, check or host-facts.
    type: str
    required: true
  words:
    description: Its options and arguments. A plan is named by a hyphen.
    type: list
    elements: str
    default: []
  plan:
    description: The text of the plan, for standard input.
    type: str
    default: ""
  seconds:
    description: After how many seconds the command is interrupted.
    type: int
    default: 3600
  executable:
    description: Which vmnet is run.
    type: str
    default: vmnet
attributes:
  check_mode:
    support: full
    description: Of up and down, vmnet plan is run, which changes nothing.
  diff_mode:
    support: full
    description: The steps that are taken, or would be.
author: vmnet maintainers
"""

EXAMPLES = r"""
- name: Bring a plan up
  vmnet.fabric.vmnet_apply:
    verb: up
    words: [--json, "-"]
    plan: "{{ lookup('file', 'lab.yaml') }}"
"""

RETURN = r"""
rc:
  description: The exit status of vmnet.
  type: int
  returned: always
stdout:
  description: What vmnet has printed, with --json a document.
  type: str
  returned: always
seconds:
  description: How long it took.
  type: float
  returned: always
clock:
  description: What the host took for the time when it began, in seconds since 1970.
  type: float
  returned: always
"""

CHANGING = ("up", "down", "start", "stop", "restart", "pause", "resume", "snapshot", "gc", "extend")
PLANNED = ("up", "down")
OF_PLAN = ("-", "--json")


def command(module: AnsibleModule) -> list[str]:
    """Return the words that are run; none where check mode has nothing to look at."""
    verb, words = module.params["verb"], module.params["words"]
    if module.check_mode and verb in CHANGING:
        if verb not in PLANNED:
            return []
        return ["plan", *(word for word in words if word in OF_PLAN)]
    return [verb, *words]


def steps(document: object, ran: str) -> list[str]:
    """Return the steps that a report has: those that were done, or would be."""
    if not isinstance(document, dict):
        return []
    found = document.get("to_do" if ran == "plan" else "done", [])
    return [str(step) for step in found] if isinstance(found, list) else []


def main() -> None:
    """Run the command."""
    module = AnsibleModule(
        argument_spec={
            "verb": {"type": "str", "required": True},
            "words": {"type": "list", "elements": "str", "default": []},
            "plan": {"type": "str", "no_log": True, "default": ""},
            "seconds": {"type": "int", "default": 3600},
            "executable": {"type": "str", "default": "vmnet"},
        },
        supports_check_mode=True,
    )
    clock = time.time()
    vmnet = module.get_bin_path(module.params["executable"])
    if vmnet is None:
        module.fail_json(
            msg="vmnet is not installed there: vmnet hosts bootstrap does that", clock=clock
        )
    words = command(module)
    if not words:
        module.exit_json(changed=True, skipped=True, rc=0, stdout="", stderr="", clock=clock)
    within = ["timeout", "--signal=TERM", "--kill-after=30", str(module.params["seconds"])]
    began = time.monotonic()
    # Ansible's run_command loses the status of a program that ends before it has read its input.
    ran = subprocess.run(
        [*within, vmnet, *words],
        input=module.params["plan"].encode(),
        capture_output=True,
        check=False,
    )
    rc = ran.returncode
    out, err = (text.decode(errors="replace") for text in (ran.stdout, ran.stderr))
    result = {"rc": rc, "stdout": out, "stderr": err, "clock": clock}
    result["seconds"] = time.monotonic() - began
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    taken = steps(document, words[0])
    judged = module.check_mode or module.params["verb"] in CHANGING
    result["changed"] = judged and bool(taken)
    if module._diff and taken:
        result["diff"] = {"prepared": "\n".join(taken) + "\n"}
    if rc:
        module.fail_json(msg="vmnet has ended with status {0}".format(rc), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
