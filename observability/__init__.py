"""The ground floor: correlation, logs, metrics, freshness. Imports nothing of the other floors."""
