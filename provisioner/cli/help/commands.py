"""Commands whose --help ends with an example, and shows what values are, not Python's types."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from provisioner.cli.help import shared
from provisioner.cli.help.values import called

_EXAMPLE = "Example: "


class HelpCommand(TyperCommand):
    """A command; the last paragraph of its docstring may be "Example: " and a command line."""

    def __init__(self, name: str | None, **words: Any) -> None:  # noqa: ANN401
        text, found, example = (words.get("help") or "").partition(f"\n\n{_EXAMPLE}")
        if found:
            words |= {"help": text, "epilog": _EXAMPLE + example}
        super().__init__(name, **words)
        if name != "exec":  # whose words may be a program's: ls --color=always
            self.params += shared.options()

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  (typer keeps click's classes to itself)
        """Return the options and arguments, --help among them."""
        return _saying_values(super().get_params(ctx))


class HelpGroup(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401
        """Return the options, --help among them."""
        return _saying_values(super().get_params(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command; of a word that is near to none, the error lists a group's commands."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            usage: Any = error  # click's UsageError, which typer keeps to itself
            said = getattr(error, "message", "")
            if said and ctx.parent and "Did you mean" not in said:
                known = [name for name, one in self.commands.items() if not one.hidden]
                usage.message = f"{said} Those of {ctx.info_name}: {', '.join(known)}."
            raise


def _saying_values(params: Any) -> Any:  # noqa: ANN401
    """Have options and arguments show what their values are: a flag has none."""
    for param in params:
        is_argument = param.param_type_name == "argument"
        if is_argument:
            param.display_type_rich = _nothing
        if not is_argument and (param.is_flag or param.count):
            param.metavar = ""
        elif param.metavar is None and not param.type_descriptor.is_choice:
            param.metavar = called(param.name or "")
    return params


def _nothing(ctx: object) -> None:
    del ctx
