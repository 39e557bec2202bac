package corpus

import "strconv"

// open begins an object, under a key or, with an empty key, as an element.
func (g *generator) open(key string) {
	switch {
	case key != "":
		g.key(key)
	case g.comma:
		g.b = append(g.b, ',')
	}
	g.b = append(g.b, '{')
	g.comma = false
}

func (g *generator) close(bracket byte) {
	g.b = append(g.b, bracket)
	g.comma = true
}

func (g *generator) key(key string) {
	if g.comma {
		g.b = append(g.b, ',')
	}
	g.comma = true
	g.b = append(g.b, '"')
	g.b = append(g.b, key...)
	g.b = append(g.b, '"', ':')
}

// text adds a string that needs no escapes; all of the generator's are such.
func (g *generator) text(key, value string) {
	g.key(key)
	g.b = append(g.b, '"')
	g.b = append(g.b, value...)
	g.b = append(g.b, '"')
}

func (g *generator) raw(key, value string) {
	g.key(key)
	g.b = append(g.b, value...)
}

func (g *generator) number(key string, n int64) {
	g.key(key)
	g.b = strconv.AppendInt(g.b, n, 10)
}

// decimal adds n/scale, where scale is a power of ten.
func (g *generator) decimal(key string, n, scale int) {
	g.number(key, int64(n/scale))
	g.b = append(g.b, '.')
	for scale /= 10; scale > 0; scale /= 10 {
		g.b = append(g.b, byte('0'+n/scale%10))
	}
}
