"""Who reads what of our contract: fields and operations, counted by API key and day.

    uses.py        what an operation reads, known when it is compiled: fields, and their deprecation
    noted.py       what the present request reads, said by whoever answers it
    counting.py    one increment a request; every ten seconds all of it to PostgreSQL, in sets
    middleware.py  the same for what Django answers
    report.py      who still reads a field: when its removal is safe

A process that is killed loses what it counted since it last passed it on: ten seconds at most. One
that is stopped passes it on first. While PostgreSQL is away the numbers wait.
"""
