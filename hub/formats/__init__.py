"""How Django's own pages spell moments: for every language, a package with its `formats`."""
