"""The simulated company: the same for the same seed, and found again from every identifier."""

from __future__ import annotations

import pytest

from connectors.sandbox.world import EPOCH_MS, LOTS, SALES_ORGS, WAREHOUSES, World

SIZES = [1, 2, 3, 7, 100, 1001]


@pytest.fixture(scope="module")
def world() -> World:
    return World(137_000, seed=1)


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    last = 136_999
    assert World(137_000, 5).product(last) == World(137_000, 5).product(last)
    assert World(137_000, 5).product(last) != World(137_000, 6).product(last)


@pytest.mark.parametrize("size", SIZES)
def test_variants_are_numbered_through_the_products(size: int) -> None:
    world = World(size)
    skus = [v.sku for i in range(size) for v in world.product(i).variants]
    assert skus == [world.sku(j) for j in range(world.variant_count())]
    assert [world.variant_index(sku) for sku in skus] == list(range(len(skus)))


@pytest.mark.parametrize("size", SIZES)
def test_reviews_are_numbered_through_the_products(size: int) -> None:
    world = World(size)
    ids = [r.id for i in range(size) for r in world.reviews(i)]
    assert ids == [world.review(r).id for r in range(world.review_count())]
    assert [world.review_index(i) for i in ids] == list(range(len(ids)))


@pytest.mark.parametrize(
    "sku",
    ["", "P-000001", "P-000001-00", "P-000001-02", "P-137001-01", "P-000001-1", "p-000001-01",
     "P-00000x-01", "P-000001-0١"],
)  # fmt: skip
def test_a_sku_that_was_never_given_out_is_unknown(world: World, sku: str) -> None:
    assert world.variant_index(sku) is None


@pytest.mark.parametrize("k", [0, 1, 61, 62, 34_249])
def test_a_customer_is_found_by_each_systems_identifier(world: World, k: int) -> None:
    customer = world.customer(k)
    assert world.customer_index(customer.number) == k
    assert world.customer_by_stripe_id(customer.stripe_id) == k
    assert world.customer_by_account_id(customer.account_id) == k
    assert world.customer_by_account_id(customer.account_id[:15]) == k
    assert world.customer_by_contact_id(customer.contact_id) == k
    assert world.customer_by_account_id(customer.contact_id) is None


@pytest.mark.parametrize("size", SIZES)
def test_lots_name_variants_that_there_are(size: int) -> None:
    world = World(size)
    lots = [world.lot(k) for k in range(LOTS)]
    assert [world.lot_index(lot.id) for lot in lots] == list(range(LOTS))
    assert all(world.variant_index(lot.sku) is not None for lot in lots)
    assert {lot.opens_ms < EPOCH_MS for lot in lots} == {True, False}


@pytest.mark.parametrize("o", [0, 1, 68_499])
def test_an_order_is_found_by_its_number_and_its_payment(world: World, o: int) -> None:
    order = world.order(o)
    assert world.order_index(order.number) == o
    assert world.order_by_payment_id(order.payment_id) == o
    assert world.order_by_charge_id(order.charge_id) == o
    assert world.order_by_payment_id(order.payment_id[:-1] + "!") is None


def test_an_order_adds_up_and_names_existing_skus_at_list_price(world: World) -> None:
    for o in range(0, world.n_orders, 997):
        order = world.order(o)
        assert order.total_minor == sum(x.quantity * x.unit_price_minor for x in order.lines)
        for line in order.lines:
            j = world.variant_index(line.sku)
            assert j is not None
            assert line.unit_price_minor == world.price_minor(j, order.sales_org)


def test_change_times_never_fall_have_ties_and_lie_in_the_past(world: World) -> None:
    times = [world.product_updated_ms(i) for i in range(5000)]
    assert times == sorted(times)
    assert len(set(times)) < len(times) / 5
    assert world.product_updated_ms(world.n_products - 1) < EPOCH_MS


def test_gtins_are_valid_and_unique(world: World) -> None:
    gtins = [world.variant_facts(j).gtin for j in range(3000)]
    assert len(set(gtins)) == len(gtins)
    for gtin in gtins:
        digits = [int(digit) for digit in gtin]
        assert len(digits) == 13
        assert sum(d * (3 if place % 2 else 1) for place, d in enumerate(digits)) % 10 == 0


def test_products_sit_in_leaves_of_a_tree_of_three_levels(world: World) -> None:
    for i in range(0, world.n_products, 1009):
        leaf = world.category_index(world.product(i).category)
        assert leaf is not None
        middle = world.category_parent(leaf)
        assert middle is not None
        root = world.category_parent(middle)
        assert root is not None
        assert world.category_parent(root) is None


def test_french_is_missing_for_a_few_products_only(world: World) -> None:
    missing = sum("fr_FR" not in world.product_names(i) for i in range(5000))
    assert 100 < missing < 300
    assert all(len(world.product_names(i)) >= 2 for i in range(100))


def test_the_erp_disagrees_with_the_warehouse_here_and_there(world: World) -> None:
    pairs = [(j, org, house) for j in range(2000)
             for org, house in zip(SALES_ORGS, WAREHOUSES, strict=True)]  # fmt: skip
    apart = sum(world.sap_on_hand(j, org) != world.on_hand(j, house) for j, org, house in pairs)
    assert 0.02 < apart / len(pairs) < 0.045
    assert all(world.reserved(j, house) <= world.on_hand(j, house) for j, _, house in pairs)


@pytest.mark.parametrize("products", [0, -1, 1_000_000])
def test_a_world_of_no_size_is_refused(products: int) -> None:
    with pytest.raises(ValueError, match="products must lie between"):
        World(products)
