"""The other column: plain django-q2, a task for each event, as its documentation has it."""
