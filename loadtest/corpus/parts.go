package corpus

import "strconv"

func (g *generator) webContext() {
	agent := int(g.person) % len(agents)
	path := "/" + pick(g, lists) + "/" + strconv.Itoa(g.rng.IntN(400))
	g.open("context")
	g.open("library")
	g.text("name", "analytics.js")
	g.text("version", "npm:next-1.84.3")
	g.close('}')
	g.open("page")
	g.text("path", path)
	g.text("referrer", pick(g, referrers))
	g.text("search", "?utm_source="+pick(g, variants))
	g.text("title", titles[g.rng.IntN(len(titles))]+" | Example Shop")
	g.text("url", "https://shop.example.com"+path)
	g.close('}')
	g.text("userAgent", agents[agent])
	g.text("locale", locales[int(g.person)%len(locales)])
	g.text("timezone", zones[int(g.person)%len(zones)])
	if g.person%8 == 0 {
		g.open("campaign")
		g.text("name", pick(g, labels))
		g.text("source", pick(g, variants))
		g.text("medium", "email")
		g.text("content", pick(g, lists))
		g.text("term", pick(g, categories))
		g.close('}')
	}
	if g.rng.IntN(3) == 0 {
		g.open("referrer")
		g.text("type", "ad")
		g.text("id", g.click())
		g.close('}')
	}
	g.text("sessionId", g.uuid(g.person, uint64(g.clock.UnixMilli()/60_000)))
	if agent%2 == 0 {
		g.open("userAgentData")
		g.raw("brands", `[{"brand":"Chromium","version":"142"},{"brand":"Not_A Brand","version":"99"}]`)
		g.raw("mobile", "false")
		g.close('}')
	}
	g.close('}')
}

func (g *generator) mobileContext() {
	g.open("context")
	g.open("app")
	g.text("name", "Example Shop")
	g.text("version", "8."+strconv.Itoa(g.rng.IntN(12))+".1")
	g.text("build", strconv.Itoa(8100+g.rng.IntN(40)))
	g.text("namespace", "com.example.shop")
	g.close('}')
	g.open("device")
	g.text("id", g.uuid(g.person, g.person*31))
	g.text("manufacturer", "Apple")
	g.text("model", "iPhone"+strconv.Itoa(13+int(g.person%4))+",2")
	g.text("type", "ios")
	g.raw("adTrackingEnabled", "false")
	g.close('}')
	g.open("library")
	g.text("name", "analytics-swift")
	g.text("version", "1.7.3")
	g.close('}')
	g.open("network")
	g.raw("cellular", "false")
	g.raw("wifi", "true")
	g.text("carrier", pick(g, names))
	g.close('}')
	g.open("os")
	g.text("name", "iOS")
	g.text("version", "19.1")
	g.close('}')
	g.open("screen")
	g.number("width", 390)
	g.number("height", 844)
	g.number("density", 3)
	g.close('}')
	g.text("locale", locales[int(g.person)%len(locales)])
	g.text("timezone", zones[int(g.person)%len(zones)])
	g.text("ip", g.ip())
	g.close('}')
}

func (g *generator) order() {
	g.text("order_id", strconv.FormatUint(g.rng.Uint64()>>24, 16))
	g.decimal("total", g.rng.IntN(90_000), 100)
	g.decimal("revenue", g.rng.IntN(80_000), 100)
	g.decimal("shipping", g.rng.IntN(900), 100)
	g.decimal("tax", g.rng.IntN(9_000), 100)
	g.text("coupon", pick(g, labels))
	g.text("currency", "EUR")
	g.key("products")
	g.b = append(g.b, '[')
	g.comma = false
	for range 1 + g.rng.IntN(2) {
		g.open("")
		g.product()
		g.number("quantity", int64(1+g.rng.IntN(3)))
		g.close('}')
	}
	g.close(']')
}

func (g *generator) product() {
	p := g.rng.IntN(3000)
	g.text("product_id", "p-"+strconv.Itoa(100_000+p))
	g.text("sku", "45790-"+strconv.Itoa(p))
	g.text("name", titles[p%len(titles)]+" "+strconv.Itoa(p%97))
	g.decimal("price", 199+p*7, 100)
	g.text("category", categories[p%len(categories)])
	g.text("brand", names[p%len(names)])
}

func (g *generator) user() string { return "user-" + strconv.FormatUint(10_000+g.person, 10) }

func (g *generator) ip() string {
	n := int(g.person * 2654435761 % (1 << 24))
	return "10." + strconv.Itoa(n>>16) + "." + strconv.Itoa(n>>8&255) + "." + strconv.Itoa(n&255)
}

// click is an id that an advertiser gave to one click.
func (g *generator) click() string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	var b [140]byte
	for i := range b {
		b[i] = digits[g.rng.IntN(len(digits))]
	}
	return string(b[:])
}

func (g *generator) uuid(hi, lo uint64) string {
	const digits = "0123456789abcdef"
	hi, lo = hi&^0xf000|0x4000, lo&^(0xc<<60)|8<<60
	var b [36]byte
	at := 0
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b[at] = '-'
			at++
		}
		word := hi
		if i >= 16 {
			word = lo
		}
		b[at] = digits[word>>(60-4*(i%16))&15]
		at++
	}
	return string(b[:])
}

func pick(g *generator, from []string) string {
	n := len(from)
	return from[min(g.rng.IntN(n), g.rng.IntN(n))]
}
