"""Answers that are kept. What makes them wrong, and the names for it, is in `catalog.tags`.

    classes.py   how long a value of a data class may be kept, and by whom
    tags.py      the tags of what an answer reads: a statement's, when it is compiled
    near.py      whole answers in this process: one look into a dict
    far.py       what PostgreSQL said, in Redis, for all processes
    follow.py    the thread that follows change notices, and without which nothing is kept
    reading.py   one request's way through all of it; equal ones wait for the first
    http.py      ETag, Cache-Control, Vary, and tags for caches in front of us

A kept answer is dropped by its tags within a second of the commit that made it wrong, in each
process by that process's own look into PostgreSQL. A process that cannot look keeps nothing and
uses nothing, in Redis neither. Times to live are a second net, for what no notice tells.
`templates/docs/decisions/0010-answers-are-kept-by-tags.md` says why it cannot be wrong for longer.
"""
