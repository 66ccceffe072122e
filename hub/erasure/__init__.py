"""Erasing a person: everything that the hub keeps about one record of an entity with personal data.

`find` collects what belongs to them by lineage; `steps` erases it in sets, each in a transaction of
its own, so that it can be broken off and gone on with; `run` keeps the count and makes the certificate.
"""
