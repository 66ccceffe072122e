"""The pages of the admin that read all floors: lineage, dashboard, navigation."""
