"""`make run`: every process of Headwater in one terminal, supervised, and gone at the end.

__main__     the commands: run, clean
sequence     the order of a start and of a stop
processes    the supervisor: foreground children, restarted when they die
spawn        what runs between fork and exec (privileges, death signal)
guard        ends everything when the launcher itself is killed
privileges   how root gives up being root for PostgreSQL and Valkey
binaries     where PostgreSQL and Valkey come from
postgres     one embedded PostgreSQL
valkey       one embedded Valkey
state        the state directory: lock, secrets, addresses
preflight    what can be known to fail before anything starts
card         the addresses and keys, for a person and for a script
"""
