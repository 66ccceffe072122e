"""The outbox: what the hub tells others, durably. The same states as the inbox has.

fanout      change notices become webhooks and purges for subscribers
kinds       the kinds of subscribers: webhooks, Next.js, Fastly, Cloudflare
commands    the outbox as a box of messages: putting in, claiming
subscribers a turn of calls to one endpoint, and what its answers say about it
receipts    how long it took from a change to the last subscriber's taking it
pushes      a turn of commands to one upstream, each read back
readback    what an upstream says after a write of ours, on its way into the inbox
channels    people are told of incidents: e-mail, Slack, signed webhooks, Sentry
drain       the resident sender: a thread for each target that has something due
echoes      events that only tell us what we did ourselves
care        endpoints that fail for days, and old commands
"""
