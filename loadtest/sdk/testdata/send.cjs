// Sends events with Segment's library, as its documentation shows: send.cjs HOST WRITE_KEY COUNT
const { Analytics } = require('@segment/analytics-node')

const [host, writeKey, count] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host })
analytics.on('error', (error) => {
  console.error(error)
  process.exitCode = 1
})
const calls = [
  (n) => analytics.track({ userId: 'u1', event: 'Order Completed', properties: { n, price: 9.9, größe: 'äöü' } }),
  (n) => analytics.identify({ userId: 'u1', traits: { n, plan: { name: 'pro' } } }),
  (n) => analytics.page({ anonymousId: 'a1', category: 'Docs', name: 'Home', properties: { n } }),
  (n) => analytics.screen({ anonymousId: 'a1', name: 'Start', properties: { n } }),
  (n) => analytics.group({ userId: 'u1', groupId: 'g1', traits: { n } }),
  (n) => analytics.alias({ previousId: String(n), userId: 'u1' }),
]
for (let n = 0; n < Number(count); n++) calls[n % calls.length](n)
analytics.closeAndFlush().then(() => {})
