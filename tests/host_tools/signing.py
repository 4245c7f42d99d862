"""Keys and signatures by gpg itself, in a home of their own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Signer:
    """One key of one owner; `home` is gpg's folder, of at most some 80 characters."""

    home: Path
    owner: str

    @classmethod
    def made(cls, home: Path, owner: str, *, expires: str = "never") -> "Signer":
        home.mkdir(mode=0o700, exist_ok=True)
        signer = cls(home, owner)
        signer.gpg("--quick-generate-key", owner, "ed25519", "sign", expires)
        return signer

    def gpg(self, *words: str, given: bytes = b"") -> bytes:
        argv = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--passphrase", ""]
        argv += ["--pinentry-mode", "loopback", "--local-user", self.owner, *words]
        return subprocess.run(argv, input=given, capture_output=True, check=True, timeout=60).stdout

    def keyring(self, *, armour: bool = False) -> bytes:
        return self.gpg(*(["--armor"] if armour else []), "--export", self.owner)

    def detached(self, content: bytes, *, armour: bool = False) -> bytes:
        return self.gpg(*(["--armor"] if armour else []), "--detach-sign", given=content)

    def clear(self, content: bytes) -> bytes:
        return self.gpg("--clear-sign", given=content)

    def stop(self) -> None:
        """End the agent that gpg has started for this home."""
        kill = ["gpgconf", "--homedir", str(self.home), "--kill", "all"]
        subprocess.run(kill, check=True, timeout=30)
