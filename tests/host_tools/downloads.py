"""Downloads of one file that nobody does anything with."""

from pathlib import Path
from typing import Any

from provisioner.host.download.fetch import Fetched, fetching
from provisioner.image.source import Remote


def fetch(source: Remote, into: Path, **options: Any) -> Fetched:  # noqa: ANN401
    """Download a file, and do not keep it locked."""
    with fetching(source, into, **options) as got:
        return got
