package formats

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Chart is groups of lying bars, panel beside panel: each panel shows one value of every bar, on a scale of its own from 0.
type Chart struct {
	Title  string
	Note   string   // one line below
	Panels []string // what each panel shows, with its unit
	Groups []Group
}

// Group is bars that are compared.
type Group struct {
	Name string
	Bars []Bar
}

// Bar has a value for each panel.
type Bar struct {
	Name   string
	Hue    int // which of the colours
	Values []float64
}

// hues are seen on white and on black.
var hues = []string{"#8b949e", "#d9822b", "#3b82f6", "#14a37f"}

// Measures of the picture, in its own units. Letters are taken to be as wide as the widest font makes them.
const (
	width     = 960
	names     = 210 // the bars' names, left of the panels
	margin    = 16
	figures   = 62 // room behind a bar for its figure
	gap       = 18 // between panels
	barHeight = 14
	step      = 19 // from bar to bar
	headRoom  = 26 // a group's name
	top       = 84
	bottom    = 58
	letter    = 0.6 // of the font's size
)

// Picture draws a chart as SVG, readable on light and on dark pages. It is the same for the same chart.
func Picture(c Chart) string {
	var b strings.Builder
	height := top + bottom
	for _, g := range c.Groups {
		height += headRoom + step*len(g.Bars)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">`+"\n", width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", escaped(c.Title))
	b.WriteString("<style>text{font-family:system-ui,sans-serif;fill:#1f2328}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>\n")
	text(&b, margin, 28, 18, "start", c.Title)
	panel := panelWidth(len(c.Panels))
	for i, name := range c.Panels {
		drawPanel(&b, c, i, names+i*(panel+gap), panel, height-bottom, name)
	}
	y := top
	for _, g := range c.Groups {
		text(&b, margin, y+17, 13, "start", g.Name)
		y += headRoom
		for _, bar := range g.Bars {
			text(&b, names-8, y+11, 11, "end", bar.Name)
			y += step
		}
	}
	text(&b, margin, height-12, 11, "start", c.Note)
	b.WriteString("</svg>\n")
	return b.String()
}

func panelWidth(panels int) int { return (width - names - margin - (panels-1)*gap) / max(panels, 1) }

// drawPanel draws the axis with its ticks, and every bar with its figure.
func drawPanel(b *strings.Builder, c Chart, i, x, wide, end int, name string) {
	most := 0.0
	for _, g := range c.Groups {
		for _, bar := range g.Bars {
			most = max(most, bar.Values[i])
		}
	}
	tick := tickOf(most)
	scale := float64(wide-figures) / max(most, tick)
	text(b, x, 58, 13, "start", name)
	for n := 0.0; n <= max(most, tick)*1.0001; n += tick {
		at := x + int(n*scale)
		fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%[1]d" y2="%d" stroke="#8b949e" stroke-opacity="0.35"/>`+"\n", at, top, end+4)
		text(b, at, end+18, 10, "middle", figure(n))
	}
	y := top
	for _, g := range c.Groups {
		y += headRoom
		for _, bar := range g.Bars {
			long := max(bar.Values[i]*scale, 1) // what there is can be seen
			fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, long, barHeight, hues[bar.Hue%len(hues)])
			text(b, x+int(long)+5, y+11, 11, "start", figure(bar.Values[i]))
			y += step
		}
	}
}

// tickOf is a round step of which most holds two to five.
func tickOf(most float64) float64 {
	if most <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, n := range []float64{0.2, 0.5, 1} {
		if most/(n*unit) <= 5 {
			return n * unit
		}
	}
	return 2 * unit
}

// figure shows two digits or more of a number, without zeros behind the point.
func figure(v float64) string {
	digits := 0
	if v > 0 && v < 100 {
		digits = min(max(1-int(math.Floor(math.Log10(v))), 0), 6)
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func text(b *strings.Builder, x, y, size int, anchor, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" font-size="%d" text-anchor="%s">%s</text>`+"\n", x, y, size, anchor, escaped(s))
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
