"""How data arrives: declarations, the outgoing session, the pull, and the queue of sync runs."""
