"""The benchmark's catalogue: as many rows of the same sizes as the peers' `seed.py` makes.

For each product two variants, three locales of a text of about 400 characters, six prices, four
stocks, 2.5 reviews, and a source record behind every row. Written by SQL alone, so that 137,000
products take a minute; the merge, which everything else goes through, is not what is measured.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import psycopg

#: Nodes of the assortment tree by level; products hang in the leaves.
LEVELS = (10, 100, 800, 4090)
WORDS = {
    "en_US": "steel light frame compact outdoor premium classic cotton handle storage kitchen",
    "de_DE": "Stahl leicht Rahmen kompakt für draußen klassisch Baumwolle Griff Küche Reise",
    "fr_FR": "acier léger cadre compact extérieur qualité classique coton poignée rangement",
}
PLACES = """
CREATE OR REPLACE FUNCTION pg_temp.sku(n bigint) RETURNS text IMMUTABLE LANGUAGE sql
AS $$ SELECT 'SKU-' || lpad(n::text, 7, '0') $$;
CREATE OR REPLACE FUNCTION pg_temp.some(n bigint, below bigint) RETURNS bigint IMMUTABLE LANGUAGE sql
AS $$ SELECT (hashint8(n) & 2147483647)::bigint % below $$;
"""
SOURCES = """
INSERT INTO catalog_source (system, stream, entity) VALUES
  ('akeneo', 'categories', 'category'), ('akeneo', 'products', 'product'),
  ('sap', 'products', 'variant'), ('sap', 'prices', 'price'), ('wms', 'stock', 'stock'),
  ('salesforce', 'reviews', 'review');
INSERT INTO observability_streamfreshness (system, stream, objective_seconds, watermark, updated_at)
SELECT system, stream, 300, now(), now() FROM catalog_source;
"""
ENTITIES: dict[str, tuple[str, str]] = {
    "category": (
        "name, slug, parent_id",
        """SELECT 'cat_' || n, {texts}, 'category-' || n, CASE WHEN level > 0 THEN
             'cat_' || (floor + 1 + (n - below - 1) % (below - floor)) END
           FROM (SELECT n, CASE WHEN n <= 10 THEN 0 WHEN n <= 110 THEN 1 WHEN n <= 910 THEN 2
                   ELSE 3 END AS level FROM generate_series(1, 5000) n) g,
             LATERAL (SELECT (ARRAY[0, 10, 110, 910])[level + 1] AS below,
                             (ARRAY[0, 0, 10, 110])[level + 1] AS floor) f""",
    ),
    "product": (
        "slug, name, description, brand, category_id",
        """SELECT pg_temp.sku(n), 'steel-frame-' || n, {texts}, {descriptions},
             'brand-' || pg_temp.some(n, 48),
             'cat_' || (911 + floor(4090 * power(pg_temp.some(n * 7, 100000) / 100000.0, 1.8)))
           FROM generate_series(1, {products}) n""",
    ),
    "variant": (
        'product_id, name, gtin, colour, size, "group", unit',
        """SELECT pg_temp.sku(n) || '-' || k, pg_temp.sku(n), {texts}, '4006381333931', 'green', k,
             'L001', 'PC' FROM generate_series(1, {products}) n, unnest(ARRAY['A', 'B']) k""",
    ),
    "price": (
        "variant_id, market, currency, amount, valid_from",
        """SELECT pg_temp.sku(n) || '-' || k || '/' || m || '/' || c || '/2026-01-01',
             pg_temp.sku(n) || '-' || k, m, c, (300 + pg_temp.some(n, 40000)) / 100.0, date '2026-01-01'
           FROM generate_series(1, {products}) n, unnest(ARRAY['A', 'B']) k,
             (VALUES ('DE', 'EUR'), ('GB', 'GBP'), ('US', 'USD')) x(m, c)""",
    ),
    "stock": (
        "variant_id, warehouse, on_hand, reserved, available",
        """SELECT pg_temp.sku(n) || '-' || k || '/' || w, pg_temp.sku(n) || '-' || k, w, q, 0, q
           FROM generate_series(1, {products}) n, unnest(ARRAY['A', 'B']) k,
             unnest(ARRAY['AMS', 'LYS']) w,
             LATERAL (SELECT greatest(0, pg_temp.some(n + ascii(w), 500) - 200) AS q) q""",
    ),
    "review": (
        "product_id, rating, title, body, author, written_at",
        """SELECT 'R-' || n || '-' || i, pg_temp.sku(n), 1 + pg_temp.some(n + i, 5), 'Good',
             repeat('Kept us dry. ', 9), 'user' || pg_temp.some(n * i, 50000), now()
           FROM generate_series(1, {products}) n, generate_series(1, pg_temp.some(n, 6)) i""",
    ),
}


def fill(url: str, products: int) -> None:
    """Fill the migrated, empty database."""
    with psycopg.connect(url, autocommit=True) as database:
        # As the merge would: nobody else may write entity tables (catalog.guard).
        database.execute("SET headwater.entities_written_by = 'merge'")
        database.execute(PLACES)
        database.execute(SOURCES)
        for statement in statements(products):
            database.execute(statement)
        database.execute("ANALYZE")


def settle(url: str) -> None:
    """What PostgreSQL does by itself when nobody is in a hurry."""
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("VACUUM FULL catalog_product")
        database.execute("VACUUM ANALYZE")


def statements(products: int) -> Iterator[str]:
    """Two for each entity: its source records, and its rows with them as their provenance."""
    texts, descriptions = _texts(30), _texts(390)
    for name, (columns, rows) in ENTITIES.items():
        made = rows.format(products=products, texts=texts, descriptions=descriptions)
        named = ", ".join(["key", *(c.strip() for c in columns.split(","))])
        traced = ", ".join(
            f"'{c.strip().strip(chr(34)).removesuffix('_id')}', r.id" for c in columns.split(",")
        )
        yield f"CREATE TEMP TABLE made AS SELECT * FROM ({made}) m({named})"
        yield f"""INSERT INTO catalog_sourcerecord (source_id, record_key, entity_key, payload,
                payload_hash, fields, version, observed_at, correlation_id, contract)
            SELECT s.id, m.key, m.key, '{{}}', '\\x00', '{{}}', 1, now(), repeat('0', 32), ''
            FROM made m, catalog_source s WHERE s.entity = '{name}'"""
        yield f"""INSERT INTO catalog_{name} ({named}, provenance, changed_at)
            SELECT m.*, jsonb_build_object({traced}), now()
            FROM made m, catalog_source s, catalog_sourcerecord r
            WHERE s.entity = '{name}' AND r.source_id = s.id AND r.record_key = m.key"""
        yield "DROP TABLE made"


def _texts(length: int) -> str:
    """A localized text of about this many characters."""
    said = (
        f"'{locale}', left(repeat('{words} ', {length // 60 + 1}), {length}) || ' ' || n"
        for locale, words in WORDS.items()
    )
    return f"jsonb_build_object({', '.join(said)})"


def samples(url: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Keys of products, and pages: a category and a cursor that a full page follows."""
    with psycopg.connect(url) as database:
        keys = [key for (key,) in database.execute("SELECT key FROM catalog_product ORDER BY key")]
        found = database.execute(
            """SELECT category_id, key FROM (SELECT category_id, key, count(*) OVER (
                 PARTITION BY category_id ORDER BY key DESC) AS following FROM catalog_product) p
               WHERE following > 25 ORDER BY hashtext(key) LIMIT 20000"""
        )
        pages = [(str(category), cursor(key)) for category, key in found]
    return keys, pages


def cursor(key: str) -> str:
    """As `hub.listing` writes it."""
    return base64.urlsafe_b64encode(b"k:" + key.encode()).decode().rstrip("=")
