// What a Node team writes: an HTTP handler that queues a job, and a worker that upserts the row.
// ROLE=http answers 202 when Redis has the job; ROLE=worker writes. No inbox, no history, no signature.
import { createServer } from 'node:http'
import { Queue, Worker } from 'bullmq'
import Redis from 'ioredis'
import pg from 'pg'
import { z } from 'zod'

const { ROLE, PORT, DATABASE, REDIS_PATH } = process.env
const redis = () => new Redis({ path: REDIS_PATH, maxRetriesPerRequest: null })
const Change = z.object({ id: z.number().int(), qty: z.number().int(), price: z.string(), updated_at: z.string() })

if (ROLE === 'http') {
  const changes = new Queue('changes', { connection: redis() })
  createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    const { data } = JSON.parse(Buffer.concat(parts).toString())
    await changes.add('item', Change.parse(data), { removeOnComplete: true, removeOnFail: true })
    response.writeHead(202, { 'content-length': 0 }).end()
  }).listen(Number(PORT), '127.0.0.1', () => console.log('ready'))
} else {
  const pool = new pg.Pool({ ...JSON.parse(DATABASE), max: 10 })
  const upsert = `INSERT INTO peer_events.item (id, quantity, price, changed_at) VALUES ($1, $2, $3, clock_timestamp())
    ON CONFLICT (id) DO UPDATE SET quantity = excluded.quantity, price = excluded.price, changed_at = excluded.changed_at`
  const worker = new Worker('changes', async ({ data }) => {
    await pool.query({ name: 'upsert', text: upsert, values: [data.id, data.qty, data.price] })
  }, { connection: redis(), concurrency: 20 })
  await worker.waitUntilReady()
  console.log('ready')
}
