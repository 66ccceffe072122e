"""The map: which system feeds what, who reads it, what goes back, and how all of it is.

graph.py      the parts of it: systems with their streams, entities, consumers, flows
declared.py   what is configured: connections, rules, operations, keys, subscribers
observed.py   what was really seen: source records, calls, reads, writes; and what nobody declared
drawing.py    all of it as one SVG
document.py   all of it as the integration architecture document, in Markdown
"""
