"""Write the index of the command line anew, from the commands themselves."""

from typing import Any

import typer

from provisioner.cli.app import built
from provisioner.cli.completion import index

if __name__ == "__main__":
    root: Any = typer.main.get_command(built())
    index.FILE.write_text(index.written(index.made(root)), encoding="utf-8")
