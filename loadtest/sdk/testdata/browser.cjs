// Sends what it is told with Segment's library for browsers, in a page of jsdom: browser.cjs HOST WRITE_KEY
//
// It reads a command a line, {"n": …, "call": …, "pad": …, "id": …}; the library sends each event at once, which is why an
// empty line means nothing. It writes what became of each: {"n": …, "state": "delivered" or "failed"}. The library tells
// of failures alone. What it counts as delivered is a request that was answered below 400, and the page sees its requests.
//
// jsdom has no fetch: the library takes its XMLHttpRequest, which asks the gateway by CORS before each request and shows
// of an answer what CORS exposes.
const readline = require('node:readline')
const { JSDOM } = require('jsdom')

const [host, writeKey] = process.argv.slice(2)
const { window } = new JSDOM('<!doctype html><title>Shop</title>', { url: 'https://shop.example/', pretendToBeVisual: true })
delete globalThis.fetch
for (const name of ['document', 'navigator', 'location', 'localStorage', 'sessionStorage', 'XMLHttpRequest']) {
  Object.defineProperty(globalThis, name, { value: window[name], configurable: true })
}
globalThis.window = globalThis.self = window

const waiting = new Set()
let over = false
function tell(n, state) {
  if (!waiting.delete(n)) return
  console.log(JSON.stringify({ n, state }))
  leave()
}
function leave() {
  if (over && waiting.size === 0) process.exit() // timers of the page would keep it open
}
const numberOf = (event) => event.properties?.n ?? event.traits?.n ?? Number(event.previousId)

const send = window.XMLHttpRequest.prototype.send
window.XMLHttpRequest.prototype.send = function (body) {
  this.addEventListener('load', () => {
    if (body && this.status < 400) tell(numberOf(JSON.parse(body)), 'delivered')
  })
  return send.call(this, body)
}

const { AnalyticsBrowser } = require('@segment/analytics-next')
const { protocol, host: hostAndPort } = new URL(host)
const loaded = AnalyticsBrowser.load(
  { writeKey, cdnURL: host },
  { integrations: { 'Segment.io': { apiHost: hostAndPort + '/v1', protocol: protocol.slice(0, -1) } } },
).then(([analytics]) => {
  analytics.on('error', ({ reason, ctx }) => {
    console.error(reason)
    if (ctx) tell(numberOf(ctx.event), 'failed')
  })
  return analytics
})

const calls = {
  track: (a, n, more, messageId) => a.track('Order Completed', { n, price: 9.9, größe: 'äöü', ...more }, { messageId }),
  identify: (a, n) => a.identify('u1', { n, plan: { name: 'pro' } }),
  page: (a, n) => a.page('Docs', 'Home', { n }),
  screen: (a, n) => a.screen('Start', { n }),
  group: (a, n) => a.group('g1', { n }),
  alias: (a, n) => a.alias('u1', String(n)),
}
const lines = readline.createInterface({ input: process.stdin })
lines.on('line', async (line) => {
  if (!line) return
  const { n, call, pad, id } = JSON.parse(line)
  waiting.add(n)
  try {
    calls[call](await loaded, n, pad ? { pad: 'x'.repeat(pad) } : {}, id || undefined)
  } catch (error) { // a library that does not get its settings sends nothing
    console.error(error)
    tell(n, 'failed')
  }
})
lines.on('close', () => {
  over = true
  leave()
})
