"""The fault drill: seeded faults, one after the other, and the incident that each opens.

`make drill` starts one house (see `tests.faults.house`), lets it run without a fault, and then brings
about each of `FAULTS`. Right is a fault whose first incident names the system and the hop within a minute.
"""
