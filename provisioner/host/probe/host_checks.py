"""The user's checks, asked by the host's own stack."""

import http.client
import socket
import time
import urllib.error
import urllib.request
from typing import Final

from provisioner.check.result import Probed
from provisioner.plan.checks import CheckSpec, Probe, What, at_address
from provisioner.plan.ip import Address
from provisioner.text import one_line

_USUAL_S: Final = 4.0


def probe(question: Probe) -> Probed:
    """Ask one thing; what only a guest can be asked is returned as untested."""
    seconds = question.within_s or _USUAL_S
    match question.asked.what:
        case What.TCP:
            return _tcp(question.asked, str(question.address), seconds)
        case What.HTTP:
            return _http(question.asked, question.address, seconds)
        case _:
            note = f"cannot be tested: {question.asked} is asked from a guest only, not the host"
            return Probed(None, note=note)


def _tcp(asked: CheckSpec, address: str, seconds: float) -> Probed:
    start = time.monotonic()
    try:
        with socket.create_connection((address, round(asked.number)), seconds):
            return Probed(reached=True, seconds=time.monotonic() - start, note=f"{asked} is open")
    except ConnectionRefusedError:
        return Probed(reached=False, note=f"{asked} was refused", refused=True)
    except OSError as error:
        return Probed(reached=False, note=f"{asked}: {error.strerror or 'no answer'}")


def _http(asked: CheckSpec, address: Address | None, seconds: float) -> Probed:
    # No proxy of the environment's: it is the path to the guest that is probed.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
    start = time.monotonic()
    try:
        with opener.open(at_address(asked.text, address), timeout=seconds) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        refused = isinstance(reason, ConnectionRefusedError)
        return Probed(reached=False, note=one_line(str(reason), 120), refused=refused)
    good = status == round(asked.number) if asked.number else status < 400  # noqa: PLR2004
    return Probed(good, time.monotonic() - start, f"status {status}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer; where it leads to may be anywhere."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""
