// One pass of what a Node team writes: fetch, Zod, multi-row upserts. No provenance, no history.
import pg from 'pg'
import { z } from 'zod'

const [base, version, database] = process.argv.slice(2)
const Listing = z.object({
  id: z.number().int(), sku: z.string(), title: z.string(), description: z.string(), brand: z.string(),
  status: z.string(), price: z.string().regex(/^\d+\.\d{2}$/), currency: z.string(), quantity: z.number().int(),
  weight_kg: z.number(), ean: z.string(), url: z.string(), seller: z.string(),
  attributes: z.object({ color: z.string(), material: z.string(), size: z.string(), origin: z.string() }),
  images: z.array(z.string()), shipping: z.object({ class: z.string(), days: z.number().int(), cost: z.string() }),
  updated_at: z.string(),
})
const Page = z.object({ data: z.array(Listing), next: z.string().nullable() })
const columns = Object.keys(Listing.shape)
const client = new pg.Client(
  database.startsWith('{') ? JSON.parse(database) : { connectionString: database })
await client.connect()
await client.query('CREATE SCHEMA IF NOT EXISTS peer_node')
await client.query(`CREATE TABLE IF NOT EXISTS peer_node.listings (id int PRIMARY KEY, sku text, title text,
  description text, brand text, status text, price numeric(12,2), currency text, quantity int, weight_kg float8,
  ean text, url text, seller text, attributes jsonb, images jsonb, shipping jsonb, updated_at timestamptz)`)
const update = columns.slice(1).map((c) => `${c} = excluded.${c}`).join(', ')
const json = new Set(['attributes', 'images', 'shipping'])
const BATCH = 1000
const values = (n) => Array.from({ length: n }, (_, r) =>
  '(' + columns.map((_, c) => '$' + (r * columns.length + c + 1)).join(',') + ')').join(',')
const began = performance.now()
let url = `${base}/listings?page=1&v=${version}`, rows = 0
while (url) {
  const page = Page.parse(await (await fetch(url)).json())
  rows += page.data.length
  for (let i = 0; i < page.data.length; i += BATCH) {
    const part = page.data.slice(i, i + BATCH)
    const flat = part.flatMap((r) => columns.map((c) => (json.has(c) ? JSON.stringify(r[c]) : r[c])))
    await client.query({
      name: `upsert-${part.length}`,
      text: `INSERT INTO peer_node.listings (${columns}) VALUES ${values(part.length)} ON CONFLICT (id) DO UPDATE SET ${update}`,
      values: flat,
    })
  }
  url = page.next
}
console.log(JSON.stringify({ rows, seconds: (performance.now() - began) / 1000, megabytes: process.memoryUsage().rss / 1048576 }))
await client.end()
