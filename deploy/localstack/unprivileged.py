"""The account and the directories with which PostgreSQL can run, which refuses to run as root.

If root starts it, the server runs as an unprivileged user. That user may be unable to reach the
project, for example one under /root. Then the programs and the data are put where the user can
reach them. A pointer file at the data's usual place says where that is.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Only root can write here. In /tmp, another user could make a directory of this name first.
REACHABLE = Path("/var/lib/limit-increase")
POINTER = "LOCATION"
USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user that the server runs as. `switched` means that it is another user than ours."""

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
        # Tried as that user, because permissions, access lists and mounts all decide about it.
        test = ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]
        answer = subprocess.run(test, cwd="/", capture_output=True, **self.popen_options())
        return answer.returncode == 0


def account_for(data: Path) -> Account:
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
    if data.exists() and (owner := data.stat()).st_uid != 0:
        # Existing data stays with its owner.
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
    """The real place of the data: `data`, or the directory that a pointer file there names."""
    try:
        return Path((data / POINTER).read_text().strip())
    except OSError:
        return data


def place_data(data: Path) -> tuple[Path, Account]:
    """Chooses the place and the account of new data.

    If the account cannot reach `data`, the place is elsewhere, and `data` gets a pointer file.
    """
    account = account_for(data)
    data.parent.mkdir(parents=True, exist_ok=True)
    if account.can_enter(data.parent):
        return data, account

    elsewhere = state_directory(data) / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    (data / POINTER).write_text(f"{elsewhere}\n")
    return elsewhere, account


def leftover(data: Path) -> Path | None:
    """Data elsewhere whose pointer file was removed with the project's local state."""
    elsewhere = REACHABLE / state_name(data) / "data"
    if os.geteuid() == 0 and locate(data) != elsewhere and elsewhere.exists():
        return elsewhere
    return None


def reachable_programs(package: Path, account: Account) -> Path:
    """The directory of the installed package, or of a copy if the account cannot reach it."""
    if account.can_enter(package):
        return package

    original = (package / "__init__.py").stat()
    copy = REACHABLE / f"postgresql-{original.st_mtime_ns:x}"
    if not copy.exists():
        copy_package(package, copy)
    return copy / package.name


def copy_package(package: Path, copy: Path) -> None:
    make_reachable_root()
    partial = copy.with_name(f".{copy.name}.{os.getpid()}")
    # A package with two servers has the older one in `pginstall`.
    unused = ("pginstall",) if (package / "pginstall18").exists() else ()
    ignored = shutil.ignore_patterns("__pycache__", *unused)
    # The programs look for their libraries beside the package, so both are copied.
    for part in package.parent.glob(f"{package.name}*"):
        if part.suffix != ".dist-info":
            shutil.copytree(part, partial / part.name, symlinks=True, ignore=ignored)

    try:
        partial.rename(copy)
    except OSError:
        # Another start has made the copy in the meantime.
        shutil.rmtree(partial)


def remove_elsewhere(data: Path) -> None:
    """Removes the data that was put elsewhere for `data`."""
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
