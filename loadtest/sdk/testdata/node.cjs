// Sends what it is told with Segment's library, as its documentation shows: node.cjs HOST WRITE_KEY
//
// It reads a command a line, {"n": …, "call": …, "pad": …, "id": …}; the library flushes by itself, which is why an empty
// line means nothing. It writes what the library says became of each: {"n": …, "state": "delivered" or "failed"}.
const readline = require('node:readline')
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushInterval: 200 })
analytics.on('error', (error) => console.error(error))

const calls = {
  track: (n, more, messageId) => ({ userId: 'u1', event: 'Order Completed', properties: { n, price: 9.9, größe: 'äöü', ...more }, messageId }),
  identify: (n) => ({ userId: 'u1', traits: { n, plan: { name: 'pro' } } }),
  page: (n) => ({ anonymousId: 'a1', category: 'Docs', name: 'Home', properties: { n } }),
  screen: (n) => ({ anonymousId: 'a1', name: 'Start', properties: { n } }),
  group: (n) => ({ userId: 'u1', groupId: 'g1', traits: { n } }),
  alias: (n) => ({ previousId: String(n), userId: 'u1' }),
}
const told = []
function send({ n, call, pad, id }) {
  const event = calls[call](n, pad ? { pad: 'x'.repeat(pad) } : {}, id || undefined)
  told.push(new Promise((resolve) => {
    analytics[call](event, (error) => {
      console.log(JSON.stringify({ n, state: error ? 'failed' : 'delivered' }))
      resolve()
    })
  }))
}

const lines = readline.createInterface({ input: process.stdin })
lines.on('line', (line) => line && send(JSON.parse(line)))
lines.on('close', async () => {
  await Promise.all(told)
  await analytics.closeAndFlush()
})
