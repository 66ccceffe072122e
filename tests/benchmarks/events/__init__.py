"""Events: from a webhook's POST to the committed row, beside BullMQ."""
