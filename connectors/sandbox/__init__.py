"""Simulated business systems: one process that answers as SAP, Akeneo, Salesforce, Stripe and a WMS.

It imports nothing of the rest of the project, so that no connector is tested against its own
assumptions. ``python -m connectors.sandbox --help`` starts it.
"""
