// A product page that is rendered once, and again when Headwater says that its tag is wrong.

type Price = { currency: string; market: string; amount: string };
type Variant = { sku: string; prices: Price[] };
type Answer = { data?: { product: { sku: string; name: string; variants: Variant[] } | null } };

const QUERY = `query($sku: String!) {
  product(sku: $sku) { sku name variants { sku prices { currency market amount } } }
}`;

export const revalidate = false; // never by time
export const generateStaticParams = () => []; // each page when it is first asked for

export default async function Page({ params }: { params: Promise<{ sku: string }> }) {
  const { sku } = await params;
  const answer = await fetch(`${process.env.HEADWATER_URL}/graphql`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      authorization: `Bearer ${process.env.HEADWATER_API_KEY}`,
    },
    body: JSON.stringify({ query: QUERY, variables: { sku } }),
    cache: "force-cache",
    next: { tags: [`product:${sku}`], revalidate: false },
  });
  if (!answer.ok) throw new Error(`the hub answered ${answer.status}`);
  const { data }: Answer = await answer.json();
  if (!data?.product) throw new Error(`there is no product ${sku}`);
  return (
    <main>
      <h1>{data.product.name}</h1>
      <ul>
        {data.product.variants.flatMap((variant) =>
          variant.prices.map((price) => (
            <li key={`${variant.sku}/${price.market}/${price.currency}`} data-variant={variant.sku}>
              {`${variant.sku} ${price.market} ${price.currency} ${price.amount}`}
            </li>
          )),
        )}
      </ul>
    </main>
  );
}
