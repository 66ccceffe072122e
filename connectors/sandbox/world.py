"""The simulated company: every record is computed from a seed and its index, none is kept.

Each accessor costs the same for the first and for the last record, so that a world of 137,000
products starts in no time and takes no memory.
"""

from __future__ import annotations

from connectors.sandbox import world_text as text
from connectors.sandbox.ids import (
    gtin13,
    mix,
    opaque_id,
    opaque_index,
    salesforce_id,
    salesforce_index,
)
from connectors.sandbox.world_facts import (
    CategoryFacts,
    CustomerFacts,
    LotFacts,
    OrderFacts,
    OrderLineFacts,
    ProductFacts,
    ReviewFacts,
    VariantFacts,
)

EPOCH_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: nothing in the base world is younger
_SPAN_S = 180 * 86_400  # the base world changed during the half year before
_CREATED_BEFORE_MS = 200 * 86_400_000
_TIES = 7  # so many neighbours share one change time, as after a mass update

#: So many things are sold by auction. Of six lots in a row four are open until 2036, one was closed
#: before the world began, and one opens in 2035.
LOTS = 12
_YEAR_MS = 365 * 86_400_000
_LOT_TIMES = {4: (-60 * 86_400_000, -30 * 86_400_000), 5: (9 * _YEAR_MS, 10 * _YEAR_MS)}

WAREHOUSES = ("AMS", "LYS")
SALES_ORGS = ("1010", "1710")  # also the names of SAP's plants
CURRENCIES = {"1010": "EUR", "1710": "USD"}
PLANT_WAREHOUSES = {"1010": "AMS", "1710": "LYS"}

# Three products in a row have 1, 2 and 3 variants: six of them in each block.
_VARIANTS_BEFORE = (0, 1, 3)
_VARIANT_PLACES = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
# Five products in a row have 3, 0, 4, 1 and 2 reviews: ten of them in each block.
_REVIEW_COUNTS = (3, 0, 4, 1, 2)
_REVIEWS_BEFORE = (0, 3, 3, 7, 8)
_REVIEW_PLACES = tuple((p, n) for p, count in enumerate(_REVIEW_COUNTS) for n in range(count))

_ORDER_STATES = ("completed", "completed", "completed", "open", "open", "cancelled")

# Lanes keep the random bits of different questions apart.
_PRODUCT, _VARIANT, _CUSTOMER, _ORDER, _REVIEW, _PRICE, _STOCK, _SAP_STOCK = range(8)


class World:
    """The facts of one simulated company. Indexes start at 0, published numbers at 1."""

    def __init__(self, products: int = 2000, seed: int = 1) -> None:
        if not 1 <= products <= 999_999:
            raise ValueError(f"products must lie between 1 and 999999, not {products}")
        self.n_products = products
        self.seed = seed
        self.n_categories = min(400, max(20, products // 20))
        self.n_customers = max(50, products // 4)
        self.n_orders = max(100, products // 2)
        self._roots = 3 + self.n_categories // 80
        self._middles = max(2 * self._roots, self.n_categories // 10)
        self._leaves_from = self._roots + self._middles

    # --- time ---------------------------------------------------------------------------------

    @staticmethod
    def changed_ms(index: int, size: int) -> int:
        """Change time of record ``index`` of ``size``: whole seconds, never falling, with ties."""
        return EPOCH_MS - 1000 * (_SPAN_S - (index - index % _TIES) * _SPAN_S // max(1, size))

    # --- categories ---------------------------------------------------------------------------

    def category_parent(self, c: int) -> int | None:
        if c < self._roots:
            return None
        if c < self._leaves_from:
            return (c - self._roots) % self._roots
        return self._roots + (c - self._leaves_from) % self._middles

    def category(self, c: int) -> CategoryFacts:
        parent = self.category_parent(c)
        return CategoryFacts(
            code=f"cat_{c + 1}",
            parent=None if parent is None else f"cat_{parent + 1}",
            names={
                locale: self._category_name(c, language)
                for language, locale in enumerate(text.LOCALES)
            },
        )

    def category_index(self, code: str) -> int | None:
        return _numbered(code, "cat_", self.n_categories)

    def _category_name(self, c: int, language: int) -> str:
        if c < self._roots:
            return text.AREAS[c][language]
        if c < self._leaves_from:
            nth = c - self._roots
            area = text.AREAS[nth % self._roots][language]
            return f"{area} {text.PURPOSES[nth // self._roots % len(text.PURPOSES)][language]}"
        nth = c - self._leaves_from
        noun = text.NOUNS[nth % len(text.NOUNS)][language]
        round_ = nth // len(text.NOUNS)
        if round_ == 0:
            return noun
        return f"{noun}, {text.QUALITIES[(round_ - 1) % len(text.QUALITIES)][language]}"

    # --- products and variants ----------------------------------------------------------------

    @staticmethod
    def product_code(i: int) -> str:
        return f"P-{i + 1:06d}"

    def product_index(self, code: str) -> int | None:
        return _numbered(code, "P-", self.n_products, width=6)

    def product_category(self, i: int) -> str:
        leaves = self.n_categories - self._leaves_from
        return f"cat_{self._leaves_from + mix(self.seed, _PRODUCT, i) % leaves + 1}"

    def product_updated_ms(self, i: int) -> int:
        return self.changed_ms(i, self.n_products)

    def product_names(self, i: int) -> dict[str, str]:
        """Names by locale, about 40 characters."""
        bits = mix(self.seed, _PRODUCT, i)
        nth = bits % (self.n_categories - self._leaves_from)
        noun = text.NOUNS[nth % len(text.NOUNS)]
        quality = text.QUALITIES[(bits >> 24) % len(text.QUALITIES)]
        series = text.SERIES[(bits >> 32) % len(text.SERIES)]
        brand = text.BRANDS[(bits >> 40) % len(text.BRANDS)]
        number = 100 + (bits >> 48) % 900
        names = {
            "en_US": f"{brand} {series} {number} {quality[0]} {noun[0]}",
            "de_DE": f"{brand} {series} {number} {noun[1]}, {quality[1].lower()}",
        }
        if (bits >> 16) % 25:
            names["fr_FR"] = f"{brand} {series} {number} – {noun[2]}, {quality[2]}"
        return names

    def product(self, i: int) -> ProductFacts:
        bits = mix(self.seed, _PRODUCT, i)
        code = self.product_code(i)
        names = self.product_names(i)
        opening = text.OPENINGS[(bits >> 8) % len(text.OPENINGS)]
        middle = text.MIDDLES[(bits >> 12) % len(text.MIDDLES)]
        closing = text.CLOSINGS[(bits >> 20) % len(text.CLOSINGS)]
        descriptions = {
            locale: f"{opening[n].format(name=names[locale])} {middle[n]} {closing[n]}"
            for n, locale in enumerate(text.LOCALES)
            if locale in names
        }
        updated = self.product_updated_ms(i)
        first = i // 3 * 6 + _VARIANTS_BEFORE[i % 3]
        return ProductFacts(
            code=code,
            brand=text.BRANDS[(bits >> 40) % len(text.BRANDS)],
            category=self.product_category(i),
            names=names,
            descriptions=descriptions,
            slug=f"{text.slugify(names['en_US'])}-{i + 1}",
            variants=tuple(self._variant(code, first + n, n) for n in range(i % 3 + 1)),
            created_ms=updated - _CREATED_BEFORE_MS,
            updated_ms=updated,
        )

    def variant_count(self) -> int:
        return self.n_products // 3 * 6 + _VARIANTS_BEFORE[self.n_products % 3]

    @staticmethod
    def variant(j: int) -> tuple[int, int]:
        """(product index, place in ``product.variants``, from 0) of variant ``j``."""
        block, rest = divmod(j, 6)
        product, place = _VARIANT_PLACES[rest]
        return block * 3 + product, place

    @staticmethod
    def sku(j: int) -> str:
        i, place = World.variant(j)
        return f"P-{i + 1:06d}-{place + 1:02d}"

    def variant_facts(self, j: int) -> VariantFacts:
        i, place = self.variant(j)
        return self._variant(self.product_code(i), j, place)

    def _variant(self, code: str, j: int, place: int) -> VariantFacts:
        bits = mix(self.seed, _VARIANT, j - place)  # one start for the whole product: no twins
        return VariantFacts(
            sku=f"{code}-{place + 1:02d}",
            gtin=gtin13(j * 7919 + self.seed % 7919),
            colour=text.COLOURS[(bits + place) % len(text.COLOURS)],
            size=text.SIZES[((bits >> 8) + place) % len(text.SIZES)],
        )

    def variant_index(self, sku: str) -> int | None:
        if len(sku) != 11 or sku[8] != "-" or not sku[9:].isascii() or not sku[9:].isdigit():
            return None
        i, place = self.product_index(sku[:8]), int(sku[9:]) - 1
        if i is None or not 0 <= place <= i % 3:
            return None
        return i // 3 * 6 + _VARIANTS_BEFORE[i % 3] + place

    # --- prices and stock ---------------------------------------------------------------------

    def price_minor(self, j: int, sales_org: str) -> int:
        """List price in cents; the market of 1710 pays about a tenth more."""
        bits = mix(self.seed, _PRICE, j)
        units = 9 + bits % 60 + (bits >> 16) % 540 * ((bits >> 32) % 3 == 0)
        return units * 100 + 90 if sales_org == "1010" else (units * 11 // 10 + 1) * 100 + 95

    def on_hand(self, j: int, warehouse: str) -> int:
        """Pieces in a warehouse, as the WMS counts them; about a tenth of the shelves is empty."""
        bits = mix(self.seed, _STOCK, j * 2 + (warehouse == "LYS"))
        return 0 if bits % 10 == 0 else 1 + (bits >> 8) % 240

    def reserved(self, j: int, warehouse: str) -> int:
        bits = mix(self.seed, _STOCK, j * 2 + (warehouse == "LYS"))
        return min(self.on_hand(j, warehouse), (bits >> 32) % 8)

    def sap_on_hand(self, j: int, plant: str) -> int:
        """What SAP believes: the WMS figure, except that about 3 % were never reconciled."""
        bits = mix(self.seed, _SAP_STOCK, j * 2 + (plant == "1710"))
        drift = 1 + (bits >> 8) % 9 if bits % 100 < 3 else 0
        return self.on_hand(j, PLANT_WAREHOUSES[plant]) + drift

    # --- customers ----------------------------------------------------------------------------

    def customer(self, k: int) -> CustomerFacts:
        bits = mix(self.seed, _CUSTOMER, k)
        first = text.FIRST_NAMES[bits % len(text.FIRST_NAMES)]
        last = text.LAST_NAMES[(bits >> 8) % len(text.LAST_NAMES)]
        ending = text.COMPANY_ENDINGS[(bits >> 16) % len(text.COMPANY_ENDINGS)]
        city, postcode, country = text.CITIES[(bits >> 24) % len(text.CITIES)]
        updated = self.changed_ms(k, self.n_customers)
        mailbox = text.ascii_fold(f"{first}.{last}").lower()
        return CustomerFacts(
            number=str(10_000_001 + k),
            name=f"{last} {ending}",
            first_name=first,
            last_name=last,
            email=f"{mailbox}.{k + 1}@example.com",
            phone=f"{text.PHONE_CODES[country]} 555{(bits >> 32) % 10_000:04d}",
            street=f"{text.STREETS[(bits >> 40) % len(text.STREETS)]} {1 + (bits >> 48) % 120}",
            city=city,
            postcode=f"{postcode}{(bits >> 36) % 1000:03d}",
            country=country,
            stripe_id=opaque_id("cus_", k),
            account_id=salesforce_id("001", k),
            contact_id=salesforce_id("003", k),
            created_ms=updated - _CREATED_BEFORE_MS,
            updated_ms=updated,
        )

    def customer_index(self, number: str) -> int | None:
        k = int(number) - 10_000_001 if len(number) == 8 and number.isdecimal() else -1
        return k if 0 <= k < self.n_customers else None

    def customer_by_stripe_id(self, stripe_id: str) -> int | None:
        return _below(opaque_index("cus_", stripe_id), self.n_customers)

    def customer_by_account_id(self, account_id: str) -> int | None:
        return _below(salesforce_index("001", account_id), self.n_customers)

    def customer_by_contact_id(self, contact_id: str) -> int | None:
        return _below(salesforce_index("003", contact_id), self.n_customers)

    # --- orders and payments ------------------------------------------------------------------

    def order(self, o: int) -> OrderFacts:
        bits = mix(self.seed, _ORDER, o)
        customer_index = bits % self.n_customers
        country = text.CITIES[(mix(self.seed, _CUSTOMER, customer_index) >> 24) % len(text.CITIES)]
        sales_org = "1710" if country[2] == "US" else "1010"
        lines = []
        for n in range(1 + (bits >> 24) % 4):
            pick = mix(self.seed, _ORDER, -(o * 4 + n) - 2)
            j = pick % self.variant_count()
            price = self.price_minor(j, sales_org)
            lines.append(OrderLineFacts((n + 1) * 10, self.sku(j), 1 + (pick >> 40) % 3, price))
        return OrderFacts(
            number=f"{o + 1:010d}",
            customer_index=customer_index,
            sales_org=sales_org,
            currency=CURRENCIES[sales_org],
            placed_ms=self.order_placed_ms(o),
            status=self.order_status(o),
            lines=tuple(lines),
            total_minor=sum(line.quantity * line.unit_price_minor for line in lines),
            payment_id=opaque_id("pi_", o),
            charge_id=opaque_id("ch_", o),
        )

    def order_status(self, o: int) -> str:
        """Without the rest of the order: cheap enough to ask of all of them."""
        return _ORDER_STATES[(mix(self.seed, _ORDER, o) >> 32) % len(_ORDER_STATES)]

    def order_currency(self, o: int) -> str:
        """As `order_status`: without the rest."""
        customer_index = mix(self.seed, _ORDER, o) % self.n_customers
        country = text.CITIES[(mix(self.seed, _CUSTOMER, customer_index) >> 24) % len(text.CITIES)]
        return CURRENCIES["1710" if country[2] == "US" else "1010"]

    def order_placed_ms(self, o: int) -> int:
        return self.changed_ms(o, self.n_orders)

    def order_index(self, number: str) -> int | None:
        o = int(number) - 1 if len(number) == 10 and number.isdecimal() else -1
        return o if 0 <= o < self.n_orders else None

    def order_by_payment_id(self, payment_id: str) -> int | None:
        return _below(opaque_index("pi_", payment_id), self.n_orders)

    def order_by_charge_id(self, charge_id: str) -> int | None:
        return _below(opaque_index("ch_", charge_id), self.n_orders)

    # --- auctions -----------------------------------------------------------------------------

    def lot(self, k: int) -> LotFacts:
        """Lot ``k`` of ``LOTS``: every variant of a walk through the world, once."""
        j = k * self.variant_count() // LOTS
        org = SALES_ORGS[k % 4 == 3]
        price = self.price_minor(j, org) // 100
        opens, closes = _LOT_TIMES.get(k % 6, (0, 10 * _YEAR_MS))
        updated = self.changed_ms(k, LOTS)
        return LotFacts(
            id=salesforce_id("a01", k),
            number=f"L-{k + 1:04d}",
            title=self.product_names(self.variant(j)[0])["en_US"],
            sku=self.sku(j),
            opens_ms=EPOCH_MS + opens,
            closes_ms=EPOCH_MS + closes,
            currency=CURRENCIES[org],
            start_minor=max(1, price // 2) * 100,
            increment_minor=500 if price > 100 else 100,
            reserve_minor=price * 100,
            created_ms=updated - 86_400_000,
            updated_ms=updated,
        )

    def lot_index(self, lot_id: str) -> int | None:
        return _below(salesforce_index("a01", lot_id), LOTS)

    # --- reviews ------------------------------------------------------------------------------

    def review_count(self) -> int:
        blocks, rest = divmod(self.n_products, len(_REVIEW_COUNTS))
        return blocks * len(_REVIEW_PLACES) + _REVIEWS_BEFORE[rest]

    def review(self, r: int) -> ReviewFacts:
        """Review ``r`` of the whole world, in the order of the products."""
        block, rest = divmod(r, len(_REVIEW_PLACES))
        i = block * len(_REVIEW_COUNTS) + _REVIEW_PLACES[rest][0]
        bits = mix(self.seed, _REVIEW, r)
        rating = max(1 + bits % 5, 1 + (bits >> 8) % 5)  # people review what they like
        first = text.FIRST_NAMES[(bits >> 16) % len(text.FIRST_NAMES)]
        last = text.LAST_NAMES[(bits >> 24) % len(text.LAST_NAMES)]
        updated = self.changed_ms(r, self.review_count())
        return ReviewFacts(
            id=salesforce_id("a00", r),
            product_code=self.product_code(i),
            rating=rating,
            title=text.REVIEW_TITLES[rating - 1],
            body=text.REVIEW_BODIES[rating - 1],
            author=f"{first} {last[0]}.",
            created_ms=updated - 86_400_000,
            updated_ms=updated,
        )

    def reviews(self, i: int) -> tuple[ReviewFacts, ...]:
        """The 0 to 4 reviews of product ``i``."""
        block, rest = divmod(i, len(_REVIEW_COUNTS))
        first = block * len(_REVIEW_PLACES) + _REVIEWS_BEFORE[rest]
        return tuple(self.review(first + n) for n in range(_REVIEW_COUNTS[rest]))

    def review_index(self, review_id: str) -> int | None:
        return _below(salesforce_index("a00", review_id), self.review_count())


def _below(index: int | None, size: int) -> int | None:
    return index if index is not None and index < size else None


def _numbered(code: str, prefix: str, size: int, width: int | None = None) -> int | None:
    """The index behind ``prefix`` and a number from 1, spelled exactly as we spell it."""
    digits = code.removeprefix(prefix)
    if not code.startswith(prefix) or not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits)
    spelled = digits == (str(number) if width is None else f"{number:0{width}d}")
    return number - 1 if spelled and 1 <= number <= size else None
