"""Where, and as whom, PostgreSQL can run: it refuses to be started by root.

As root, the server runs as an unprivileged user. That user may be unable to reach the project (one under /root, say);
then the programs and the data are put where it can, and a pointer file is left in the data's place.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Root's own place for state, which nobody else can write to; a name under /tmp could be taken by somebody else first.
REACHABLE = Path("/var/lib/limit-increase")
POINTER = "LOCATION"
USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """Whom the server runs as."""

    uid: int
    gid: int
    switched: bool

    def popen_options(self) -> dict:
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switched else {}

    def give(self, path: Path) -> None:
        if self.switched:
            os.chown(path, self.uid, self.gid)

    def can_enter(self, directory: Path) -> bool:
        if not self.switched:
            return True
        # Asked of the system as that user: permissions, access lists and mounts all have a say.
        test = ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]
        answer = subprocess.run(test, cwd="/", capture_output=True, **self.popen_options())
        return answer.returncode == 0


def account_for(data: Path) -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        # Data from before stays with its owner.
        return Account(owner.st_uid, owner.st_gid, switched=True)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switched=True)
    raise OSError(
        f"PostgreSQL does not run as root, and this system has none of the users {', '.join(USERS)}"
    )


def locate(data: Path) -> Path:
    """Where the data is that belongs at `data`: there, or where the pointer file says."""
    try:
        return Path((data / POINTER).read_text().strip())
    except OSError:
        return data


def place_data(data: Path) -> tuple[Path, Account]:
    """Where to keep new data that belongs at `data`, and as whom; leaves a pointer file if that is elsewhere."""
    account = account_for(data)
    data.parent.mkdir(parents=True, exist_ok=True)
    if account.can_enter(data.parent):
        return data, account
    elsewhere = state_directory(data) / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    (data / POINTER).write_text(f"{elsewhere}\n")
    return elsewhere, account


def leftover(data: Path) -> Path | None:
    """Data elsewhere that nothing points to any more: its pointer file was removed with the project's local state."""
    elsewhere = REACHABLE / state_name(data) / "data"
    return (
        elsewhere
        if os.geteuid() == 0 and locate(data) != elsewhere and elsewhere.exists()
        else None
    )


def reachable_programs(package: Path, account: Account) -> Path:
    """The directory of the installed package, or of a copy if the account cannot reach the one in the environment."""
    if account.can_enter(package):
        return package
    original = (package / "__init__.py").stat()
    copy = REACHABLE / f"postgresql-{original.st_mtime_ns:x}"
    if not copy.exists():
        make_reachable_root()
        partial = copy.with_name(f".{copy.name}.{os.getpid()}")
        # The programs look for their libraries beside the package, so both are copied as they lie.
        # A package with two servers has the older one in `pginstall`.
        unused = ("pginstall",) if (package / "pginstall18").exists() else ()
        ignored = shutil.ignore_patterns("__pycache__", *unused)
        for part in package.parent.glob(f"{package.name}*"):
            if part.suffix != ".dist-info":
                shutil.copytree(part, partial / part.name, symlinks=True, ignore=ignored)
        try:
            partial.rename(copy)
        except OSError:
            # Another start was faster.
            shutil.rmtree(partial)
    return copy / package.name


def remove_elsewhere(data: Path) -> None:
    """Removes what was put elsewhere for `data`."""
    if os.geteuid() == 0:
        shutil.rmtree(REACHABLE / state_name(data), ignore_errors=True)


def state_directory(data: Path) -> Path:
    make_reachable_root()
    directory = REACHABLE / state_name(data)
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


def state_name(data: Path) -> str:
    return hashlib.sha256(str(data).encode()).hexdigest()[:16]


def make_reachable_root() -> None:
    REACHABLE.mkdir(parents=True, exist_ok=True)
    REACHABLE.chmod(0o755)
