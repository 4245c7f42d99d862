#!/usr/bin/python
"""Run a command of vmnet on this host, its plan given by standard input.

What it does is in the action plugin of the same name.
"""

from __future__ import annotations

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
