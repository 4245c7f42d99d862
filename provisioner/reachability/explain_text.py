"""The path of a frame (reachability/explain.py) as text, and as a Mermaid flowchart."""

from provisioner.reachability.explain import Explanation

_SYMBOLS = {True: "✓", False: "✗", None: "?"}
_PROMISED = ", as the plan and the modes have it (vmnet check measures it)"
"""No link is looked at here, so nobody may take a ✓ for a frame that has passed."""


def as_text(found: Explanation) -> str:
    """Return the path as text, a step per line."""
    lines = [
        f"{found.source} -> {found.target} on network {found.network}: {found.verdict}{_PROMISED}"
    ]
    lines.append(f"  because {found.why}")
    for title, steps in (("the question", found.there), ("the answer", found.back)):
        lines.append(f"{title}:")
        lines += [f"  {_SYMBOLS[step.passes]} {step.at}: {step.what}" for step in steps]
    return "\n".join(lines) + "\n"


def as_mermaid(found: Explanation) -> str:
    """Return the path as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    for prefix, steps in (("q", found.there), ("a", found.back)):
        for number, step in enumerate(steps):
            lines.append(f'  {prefix}{number}["{_escaped(step.at)}<br>{_escaped(step.what)}"]')
            if number:
                arrow = {True: "-->", False: "--x", None: "-.->"}[step.passes]
                lines.append(f"  {prefix}{number - 1} {arrow} {prefix}{number}")
    lines.append(f'  verdict(["{_escaped(found.verdict)}"])')
    if found.there:
        lines.append(f"  q{len(found.there) - 1} --> verdict")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return "".join(c if c.isalnum() or c in " .,:()/-" else f"#{ord(c)};" for c in text)
