"""Proof that nothing is lost and nothing is applied twice, whatever is killed, frozen or flushed.

`python -m tests.faults --list` names the scenarios. One house (PostgreSQL, Valkey, the launcher
with its sandbox, web server and workers) serves them all. What was acknowledged is journalled
outside of it, and in the end its database is compared with a plain model (see `model`).
"""
