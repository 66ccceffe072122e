"""Dead letters: choose them, group them by cause, rehearse their replay, and replay them.

Nothing here knows what a message is about. The inbox and the outbox each describe theirs once, as
`Letters`; the admin and the commands work with that.
"""
