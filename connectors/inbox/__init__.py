"""The inbox: what upstreams told us of, from the commit behind its 2xx to the merge."""
