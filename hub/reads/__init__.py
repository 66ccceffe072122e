"""The compiled read path: a GraphQL document becomes one SQL statement, whose JSON goes out as it is.

    document.py    text -> the parsed, valid operation, its literals lifted into variables
    arguments.py   variables of a request -> coerced values, arguments of the root fields
    members.py     what the fields of an entity's type stand for, from its declaration
    build.py       the state of one compilation: aliases, parameters, selections
    compile_*.py   selections -> SQL
    statement.py   SQL that is ready to run, and what goes around its JSON
    needs.py       an operation, or an address -> the scopes that it takes
    plan.py        an operation and its statements, one for each shape of variables
    execute.py     where a statement runs: Django's connection, or one of `pool.py`
    rest.py        the addresses of REST, by way of the same pieces
    answer.py      a request's text and variables -> the answer, or None: Graphene has to
    fallbacks.py   what was left to Graphene, counted
    persisted.py   documents known by their hash
    front.py       the WSGI application ahead of Django's middleware

Graphene stays the reference: it owns the schema, introspection and validation, and runs whatever
is left to it. `tests/documents` asks both the same random documents and wants the same answers.
The compiler reads the entities' declarations, as the schema does; a new entity needs no edit here.
"""
