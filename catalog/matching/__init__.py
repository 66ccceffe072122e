"""Records under different keys that are about the same thing: found, judged, merged, taken apart.

    find      pairs of an entity's records that agree by its declared rules, with a score
    merging   one record's sources speak about another record from now on; and the way back

Nothing is lost by either way: source records keep the key that their system told (`told_key`), the
merge derives both entity rows anew from them, and history keeps what both were.
"""
