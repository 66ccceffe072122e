// The same contracts and mappings with Zod. Reads pages from files, prints the best rate of each.
import { readFileSync } from 'node:fs'
import { z } from 'zod'

const DATE = /^\/Date\((-?\d+)(?:[+-]\d{4})?\)\/$/
const odata = z.string().regex(DATE).transform((text) => new Date(Number(DATE.exec(text)[1])))
const offset = /(?:Z|[+-]\d{2}:?\d{2})$/
const moment = z.string().regex(offset).transform((text, ctx) => {
  const at = new Date(text.replace(/([+-]\d{2})(\d{2})$/, '$1:$2'))
  if (Number.isNaN(at.getTime())) ctx.issues.push({ code: 'custom', message: 'no moment', input: text })
  return at
})
// JavaScript has no decimals: a text is checked and kept.
const decimal = z.union([z.string().regex(/^-?\d+(?:\.\d+)?$/), z.number()])
const MARKETS = { 1010: 'DE', 1710: 'US' }
const STATUS = { A: 'open', B: 'processing', C: 'completed' }
const known = (table, key) => {
  if (!(key in table)) throw new Error(`unknown ${key}`)
  return table[key]
}
const silent = (fields) => {
  for (const name in fields) if (fields[name] === null || fields[name] === undefined) delete fields[name]
  return fields
}
const stock = z.object({
  sku: z.string(), warehouse: z.string(), on_hand: decimal, reserved: decimal, available: decimal, updated_at: moment,
})
const product = z.object({
  Product: z.string(), CrossPlantConfigurableProduct: z.string(), ProductGroup: z.string(), BaseUnit: z.string(),
  ProductStandardID: z.string(), LastChangeDateTime: odata,
})
const order = z.object({
  SalesOrder: z.string(), SoldToParty: z.string(), SalesOrganization: z.string(), TransactionCurrency: z.string(),
  TotalNetAmount: decimal, OverallSDProcessStatus: z.string(), CreationDate: odata, LastChangeDateTime: odata,
  to_Item: z.object({ results: z.array(z.object({
    SalesOrderItem: z.string(), Material: z.string(), RequestedQuantity: decimal, NetAmount: decimal,
  })) }),
})
const text = (length) => z.string().max(length)
const review = z.object({
  Id: text(18), IsDeleted: z.boolean().default(false), ProductCode__c: text(60), Rating__c: z.number(),
  Title__c: text(255).nullable(), Body__c: text(32768).nullable(), Author__c: text(120).nullable(),
  CreatedDate: moment, SystemModstamp: moment,
})
const CASES = {
  'warehouse stock': [stock, (r) => silent({
    variant: r.sku, warehouse: r.warehouse, on_hand: r.on_hand, reserved: r.reserved, available: r.available,
  })],
  'SAP products': [product, (r) => silent({
    product: r.CrossPlantConfigurableProduct || null, gtin: r.ProductStandardID || null, group: r.ProductGroup, unit: r.BaseUnit,
  })],
  'SAP orders': [order, (r) => [silent({
    customer: r.SoldToParty, market: known(MARKETS, r.SalesOrganization), currency: r.TransactionCurrency,
    total: r.TotalNetAmount, status: known(STATUS, r.OverallSDProcessStatus), placed_at: r.CreationDate,
  }), ...r.to_Item.results.map((i) => silent({
    order: r.SalesOrder, position: Number(i.SalesOrderItem), variant: i.Material, quantity: i.RequestedQuantity,
    unit_price: (Number(i.NetAmount) / Number(i.RequestedQuantity)).toFixed(4),
  }))]],
  'Salesforce reviews': [review, (r) => silent({
    product: r.ProductCode__c, rating: r.Rating__c, title: r.Title__c, body: r.Body__c, author: r.Author__c, written_at: r.CreatedDate,
  })],
}
const [seconds, ...files] = process.argv.slice(2)
const found = {}
for (const [name, [schema, map]] of Object.entries(CASES)) {
  const pages = files.filter((file) => file.includes(name.replaceAll(' ', '_'))).map((file) => readFileSync(file))
  const whole = z.array(schema)
  const parse = (page) => whole.parse(JSON.parse(page.toString())).map(map)
  const best = (work) => {
    for (let n = 0; n < 400; n++) work(pages[n % pages.length]) // the compiler has to have settled
    let least = Infinity
    const end = performance.now() + Number(seconds) * 1000
    for (let n = 0; performance.now() < end; n++) {
      const began = process.cpuUsage()
      work(pages[n % pages.length])
      const used = process.cpuUsage(began)
      least = Math.min(least, used.user + used.system)
    }
    return 1000 / (least / 1e6)
  }
  const parsed = new Map(pages.map((page) => [page, JSON.parse(page.toString())]))
  found[name] = {
    zod: best(parse),
    zod_parsed: best((page) => whole.parse(parsed.get(page)).map(map)), // of objects, without JSON.parse
    json_parse: best((page) => JSON.parse(page.toString())),
  }
}
console.log(JSON.stringify(found))
