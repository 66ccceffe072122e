"""What the tests of all folders have of pytest-django, and one thing more."""

from __future__ import annotations

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.services import keep_what_migrations_made


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """The test database is made, and what is in it then is given back after each test that commits.

    Here, because a fixture of a plugin that pytest loads before pytest-django would be overridden
    by pytest-django's, and a later moment is too late: fixtures of whole modules commit.
    """
    del django_db_setup
    with django_db_blocker.unblock():
        keep_what_migrations_made()
