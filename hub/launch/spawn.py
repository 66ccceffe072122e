"""What happens between fork and exec of a child; a script of its own, with the standard library.

    python -I -S spawn.py --parent PID --death-signal N [--namespace UID GID | --user UID GID]
                          [--writable DIR] -- COMMAND ...

It runs in a fresh interpreter because code between fork and exec of a large process is unsafe.
`--death-signal`: the kernel sends it to the command when the parent dies (Linux, prctl(2)).
`--namespace`: enter a user namespace in which the present user has another id
(user_namespaces(7)); files stay reachable exactly as before, which `--user` cannot promise.
`--writable`: give up with exit code 126 where the new user could not write there.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys

CANNOT = 126  # what a shell answers for "found, but cannot be executed"

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--death-signal", type=int, default=0)
    parser.add_argument("--namespace", type=int, nargs=2)
    parser.add_argument("--user", type=int, nargs=2)
    parser.add_argument("--writable")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    try:
        if arguments.namespace:
            _enter_namespace(*arguments.namespace)
        elif arguments.user:
            _become(*arguments.user)
        if arguments.writable and not os.access(arguments.writable, os.W_OK | os.X_OK):
            sys.exit(CANNOT)
        # After any change of credentials, which would clear the death signal again.
        _die_with_parent(arguments.parent, arguments.death_signal)
        os.execvp(arguments.command[0], arguments.command)  # noqa: S606 no shell is wanted
    except OSError as error:
        print(f"{arguments.command[0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT)


def _enter_namespace(uid: int, gid: int) -> None:
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    for name, content in (
        ("uid_map", f"{uid} {user} 1"),
        ("setgroups", "deny"),  # the kernel asks for it before a gid_map
        ("gid_map", f"{gid} {group} 1"),
    ):
        # One write call each: the kernel refuses a map that comes in pieces.
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(descriptor, content.encode())
        finally:
            os.close(descriptor)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _die_with_parent(parent: int, death_signal: int) -> None:
    if death_signal and sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    # The parent may have died before the request to be told.
    if os.getppid() != parent:
        sys.exit(CANNOT)


if __name__ == "__main__":
    main()
