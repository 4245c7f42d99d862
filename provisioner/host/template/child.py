"""Fills one template of a user's, as a program of its own that has nothing to lose.

It is run by host/template/fill.py as `python -I -S child.py`, gets a request as JSON on its
standard input, and answers on its standard output: "xml" and the text, or "not" and why. It imports
nothing of vmnet: what breaks out of jinja2's sandbox finds neither vmnet's code nor its values.

Before it looks at the template it gives up what that does not need: see fence.py.
"""

import json
import os
import re
import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_PATIENCE_S = 0.5  # of processor time: we end the template, and can still say at which line
_BIGGEST_POWER, _BIGGEST, _LONGEST = 64, 1 << 4096, 1 << 20
_WIDE = re.compile(r"%[^a-zA-Z%]*(?:\d{6}|\*)")
_WIDE_FIELD = re.compile(r":[^{}]*(?:\d{6}|\{)")
_FRAMES = 400  # of a traceback that are looked at: what calls itself without end leaves thousands


class _TooSlowError(BaseException):
    """Not an Exception: jinja2 would take those, while it folds constants, for its own affair."""


class _TooLargeError(Exception):
    """The text grows beyond what is asked for, or a value would."""


def main() -> NoReturn:
    """Read the request, fill the template, answer, end."""
    fence = runpy.run_path(f"{__file__.removesuffix('child.py')}fence.py")
    fence["limit_ourselves"]()
    request = json.loads(sys.stdin.buffer.read())
    sys.path[:] = [*sys.path, *request["paths"]]
    _import_all()
    signal.signal(signal.SIGPROF, _out_of_time)
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE_S)
    fence["give_up_the_rest"]()
    try:
        answer = _answer(request)
    except _TooSlowError:  # while we were describing an error
        answer = _refusal("slow", None, "")
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    while answer:
        answer = answer[os.write(1, answer) :]
    os._exit(0)


def _import_all() -> None:
    """Import what filling a template may need: behind the fence no file can be opened."""
    import html  # noqa: F401
    import pprint  # noqa: F401
    import textwrap  # noqa: F401

    import jinja2.debug
    import jinja2.sandbox

    # Also the codecs that its lexer looks up.
    text = "{% for a in ['b', 1.5] %}{{ a|upper|e }}{% endfor %}"
    jinja2.sandbox.SandboxedEnvironment(autoescape=True).from_string(text).render()


def _out_of_time(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise _TooSlowError


def _refusal(kind: str, line: int | None, message: str) -> bytes:
    refusal = {"kind": kind, "line": line, "message": message[:500]}
    return b"not\n" + json.dumps(refusal).encode()


def _answer(request: dict[str, Any]) -> bytes:
    """Return the filled template, or the kind of what is wrong, its line and its message."""
    filling = _Filling(request)
    try:
        return b"xml\n" + filling.text().encode("utf-8", "surrogatepass")
    except (Exception, _TooSlowError) as error:  # noqa: BLE001  (whatever happens, the template did it)
        kind = next((kind for sort, kind in _kinds() if isinstance(error, sort)), "failed")
        line, message = filling.line(error), str(error)
        if kind == "syntax":
            line, message = getattr(error, "lineno", line), getattr(error, "message", message)
        if kind == "failed":
            message = f"{type(error).__name__}: {message}"
        return _refusal(kind, line, message)


def _kinds() -> list[tuple[type[BaseException], str]]:
    """Return the kinds of failure; guest/xml/template.py has the messages."""
    import jinja2
    from jinja2.exceptions import SecurityError

    return [
        (jinja2.TemplateSyntaxError, "syntax"),
        (jinja2.TemplateNotFound, "part"),
        (SecurityError, "forbidden"),
        (OverflowError, "forbidden"),  # a range that the sandbox finds too long
        (jinja2.UndefinedError, "undefined"),
        (_TooLargeError, "large"),
        (_TooSlowError, "slow"),
        (MemoryError, "memory"),
        (RecursionError, "deep"),
    ]


class _Filling:
    """One template being compiled and filled."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.template: Template | None = None
        self.pieces: Iterator[str] = iter(())

    def text(self) -> str:
        """Return the filled template. Raises whatever goes wrong on the way."""
        from jinja2 import Template

        environment = _environment(self.request)
        code = environment.compile(self.request["template"], "template", "template")
        self.template = Template.from_code(environment, code, environment.make_globals(None))
        values = {name: _plain(value) for name, value in self.request["values"].items()}
        # Not Template.render: it hides the place, and has the whole text before it can be counted.
        self.pieces = self.template.root_render_func(self.template.new_context(values))
        done, size = [], 0
        for piece in self.pieces:
            size += len(piece)
            if size > self.request["most"]:
                raise _TooLargeError
            done.append(piece)
        return "".join(done)

    def line(self, error: BaseException) -> int | None:
        """Return the line of the template at which it happened; None when nobody knows."""
        if self.template is None:  # it was being compiled, this node of it
            nodes = (frame.f_locals.get("node") for frame, _ in _frames(error.__traceback__))
            lines = [getattr(node, "lineno", None) for node in nodes]
            return next(filter(None, reversed(lines)), None)
        ours = (
            line
            for frame, line in _frames(error.__traceback__)
            if frame.f_globals.get("__jinja_template__") is self.template
        )
        at = getattr(self.pieces, "gi_frame", None)  # where it stands, when it was we who stopped
        line = max(enumerate(ours), default=(0, at.f_lineno if at else None))[1]
        return None if line is None else self.template.get_corresponding_lineno(line)


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    for _ in range(_FRAMES):
        if trace is None:
            return
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _environment(request: dict[str, Any]) -> "Environment":
    """Return the sandbox: no loading from paths, no underscored attributes, no huge products."""
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.runtime import Context
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        # Also keeps jinja2 from computing them while it compiles, where 9**9**9 would hang it.
        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401
            _refuse_giants(operator, left, right)
            return super().call_binop(context, operator, left, right)

        def wrap_str_format(self, value: Any) -> Callable[..., str] | None:  # noqa: ANN401
            if wrapped := super().wrap_str_format(value):
                _refuse_giants("format", value.__self__, None)
            return wrapped

    parts: dict[str, str] = request["parts"]
    sandbox = Sandbox(  # as guest/xml/render.py reads vmnet's own
        loader=FunctionLoader(parts.get),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    sandbox.filters["format"] = _format
    # The same plan gives the same XML; and lipsum loads a module when it is first called.
    del sandbox.globals["lipsum"], sandbox.filters["random"]
    return sandbox


def _refuse_giants(operator: str, left: Any, right: Any) -> None:  # noqa: ANN401
    """Refuse what would only be killed, without a line: huge numbers, a gigabyte of blanks."""
    match operator:
        case "%":
            giant = isinstance(left, str) and bool(_WIDE.search(left))
        case "format":
            giant = bool(_WIDE_FIELD.search(left))
        case "**":
            giant = abs(right) > _BIGGEST_POWER or abs(left) > _BIGGEST
        case _ if isinstance(left, int | float) and isinstance(right, int | float):
            giant = max(abs(left), abs(right)) > _BIGGEST
        case _:  # a text or a list, and how often
            giant = max(_length(left) * _length(right), 0) > _LONGEST
    if giant:
        raise _TooLargeError


def _length(value: Any) -> int:  # noqa: ANN401
    return value if isinstance(value, int) else len(value)


def _format(form: str, *values: object, **named: object) -> object:
    _refuse_giants("%", form, None)
    return form % (named or values)


class _Value(SimpleNamespace):
    """What the template sees of a value of vmnet's: its fields, and nothing that does anything."""


_Value.__module__, _Value.__qualname__, _Value.__name__ = "builtins", "value", "value"


def _plain(value: object) -> object:
    match value:
        case dict():
            return _Value(**{name: _plain(inner) for name, inner in value.items()})
        case list():
            return tuple(map(_plain, value))
        case _:
            return value


if __name__ == "__main__":
    main()
