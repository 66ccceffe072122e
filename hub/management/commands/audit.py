"""`manage.py audit`: whether the audit log is what was written. Exit code 1 where an entry is not."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from observability import audit
from observability.audit import AuditEntry


class Command(BaseCommand):
    help = "Follow the chain of the audit log, and print its last digest, to be noted elsewhere."

    def handle(self, **_options: Any) -> None:
        if broken := audit.broken():
            listed = ", ".join(f"#{number}" for number in broken)
            self.stderr.write(f"not as written, or not after the one before it: {listed}")
            raise SystemExit(1)
        last = AuditEntry.objects.first()
        head = f", the last #{last.pk} {bytes(last.digest).hex()}" if last else ""
        self.stdout.write(f"{AuditEntry.objects.count():,} entries, unbroken{head}")
