"""Webhooks of upstreams: how each signs and what its events say, and where they come in."""
