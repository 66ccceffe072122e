"""Random valid documents, asked of the compiled reads and of Graphene's executor alike.

    generate.py   a random document over the whole schema, with variables
    shop.py       a catalogue with every oddity that a row can have
    compare.py    both answers, and what differs

`make test` asks some hundreds; `python -m tests.documents --documents 50000 --seed 7` many.
"""
