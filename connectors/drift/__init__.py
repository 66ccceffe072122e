"""Drift: what happens when an upstream's records depart from their contract.

breaches   how a record departs: which member, and whether it is missing or of another type
rules      what is decided about a stream: policies, aliases, members known to have vanished
lenient    a record read in spite of a breach, without the values that are in question
members    names that appear and vanish without a breach, noticed in samples
renaming   a record under the names of its contract
noticed    what a page showed, written down
report     departures become incidents, and incidents end
stopping   a stream stands still until somebody resumes it
detective  which new member carries the values of one that vanished
patch      the change of the connector's code that a rename asks for
aliases    an alias is accepted: what was held is tried again
expiry     aliases end
weekly     the report of a week
"""
