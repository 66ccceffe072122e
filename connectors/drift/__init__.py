"""Drift: what happens when an upstream's records depart from their contract.

breaches   how a record departs: which member, and whether it is missing or of another type
rules      what is decided about a stream: policies, aliases, members known to have vanished
lenient    a record read in spite of a breach, without the values that are in question
members    names that appear and vanish without a breach, noticed in samples
report     departures become incidents, and incidents end
detective  which new member carries the values of one that vanished
patch      the change of the connector's code that a rename asks for
accept     an alias is accepted: what was held is tried again
"""
