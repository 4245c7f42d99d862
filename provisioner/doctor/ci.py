"""What vmnet doctor --ci prints: lines to copy for runners of GitHub and GitLab."""

from typing import Final

# None for macvtap's nodes: vmnet gives one device to one user (vmnet net create --owner); a rule
# would give all of them to a group.
_UDEV: Final = """\
# /etc/udev/rules.d/60-vmnet.rules
KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm"
"""

_GITHUB: Final = """\
# .github/workflows/vms.yml; vmnet is a checkout or submodule in the folder vmnet
jobs:
  vms:
    runs-on: ubuntu-latest
    timeout-minutes: 20
    steps:
      - uses: actions/checkout@v4
        with: {submodules: true}
      - name: Let QEMU's user open /dev/kvm
        run: |
          echo 'KERNEL=="kvm", GROUP="kvm", MODE="0660", OPTIONS+="static_node=kvm"' |
            sudo tee /etc/udev/rules.d/60-vmnet.rules
          sudo udevadm control --reload-rules
          sudo udevadm trigger --name-match=kvm --settle
      - run: make -C vmnet setup
      - run: sudo vmnet/.venv/bin/vmnet doctor
      - run: sudo vmnet/.venv/bin/vmnet up plan.yaml
      - run: sudo --preserve-env=GITHUB_ACTIONS,GITHUB_STEP_SUMMARY
          vmnet/.venv/bin/vmnet check plan.yaml --junit vms.xml
      - run: sudo vmnet/.venv/bin/vmnet down plan.yaml
        if: always()
"""

_GITLAB: Final = """\
# .gitlab-ci.yml
vms:
  image: debian:12
  variables: {{GIT_SUBMODULE_STRATEGY: recursive}}
  before_script:
    - apt-get update && apt-get install -y --no-install-recommends make git ca-certificates
    - make -C vmnet setup
  script:
    - vmnet/.venv/bin/vmnet doctor
    - vmnet/.venv/bin/vmnet up plan.yaml
    - vmnet/.venv/bin/vmnet check plan.yaml --junit vms.xml
  after_script:
    - vmnet/.venv/bin/vmnet down plan.yaml
  artifacts:
    when: always
    reports: {{junit: vms.xml}}

# /etc/gitlab-runner/config.toml of the runner: what its containers have to be given
[runners.docker]
  cap_add = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "MKNOD"]
  devices = ["/dev/kvm"]
  device_cgroup_rules = ["c {major}:* rwm"]
"""


def text(major: int) -> str:
    """Give all lines; `major` is macvtap's device number on this host, 0 where it has none.

    The number is given out when the driver is loaded: another host may have another one.
    """
    number = str(major) if major else "MAJOR"
    note = "# macvtap's number is that of /proc/devices on the host that runs the containers\n"
    return "\n".join((_UDEV, _GITHUB, _GITLAB.format(major=number) + note))
