package formats

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Whatever is drawn is well-formed, and nothing of it leaves its box.
func TestPictureStaysInItsBox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		panels := rapid.IntRange(1, 3).Draw(t, "panels")
		c := Chart{Title: rapid.StringMatching(`[ -~äé<&"]{0,40}`).Draw(t, "title"), Note: "<& note"}
		for range panels {
			c.Panels = append(c.Panels, rapid.StringMatching(`[a-z<&,]{1,20}`).Draw(t, "panel"))
		}
		bars := 0
		for range rapid.IntRange(1, 5).Draw(t, "groups") {
			g := Group{Name: rapid.StringMatching(`[a-z <&]{1,30}`).Draw(t, "group")}
			for range rapid.IntRange(1, 5).Draw(t, "bars") {
				g.Bars = append(g.Bars, Bar{
					Name: rapid.StringMatching(`[a-z <&]{1,25}`).Draw(t, "bar"), Hue: rapid.IntRange(0, 9).Draw(t, "hue"),
					Values: rapid.SliceOfN(rapid.Float64Range(0, 1e6), panels, panels).Draw(t, "values"),
				})
				bars++
			}
			c.Groups = append(c.Groups, g)
		}
		require.Equal(t, bars*panels, boxed(t, Picture(c)))
	})
}

// boxed reads a picture and counts its bars.
func boxed(t require.TestingT, picture string) (bars int) {
	d := xml.NewDecoder(strings.NewReader(picture))
	var wide, high float64
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			require.NotZero(t, wide)
			return bars
		}
		require.NoError(t, err)
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		number := func(name string) float64 {
			for _, a := range e.Attr {
				if a.Name.Local == name {
					n, err := strconv.ParseFloat(a.Value, 64)
					require.NoError(t, err)
					return n
				}
			}
			return 0
		}
		left, right := number("x"), number("x")
		switch e.Name.Local {
		case "svg":
			wide, high = number("width"), number("height")
			continue
		case "rect":
			bars++
			right += number("width")
			require.Positive(t, number("width"))
		case "text":
			inside, err := d.Token()
			require.NoError(t, err)
			said, _ := inside.(xml.CharData)
			long := float64(utf8.RuneCount(said)) * number("font-size") * letter
			switch anchorOf(e) {
			case "start":
				right += long
			case "middle":
				left, right = left-long/2, right+long/2
			case "end":
				left -= long
			}
		case "line":
			left, right = number("x1"), number("x2")
		}
		require.GreaterOrEqual(t, left, 0.0, e)
		require.LessOrEqual(t, right, wide, e)
		require.LessOrEqual(t, number("y")+number("height"), high)
		require.LessOrEqual(t, number("y2"), high)
	}
}

func anchorOf(e xml.StartElement) string {
	for _, a := range e.Attr {
		if a.Name.Local == "text-anchor" {
			return a.Value
		}
	}
	return ""
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.00512: "0.0051", 0.25: "0.25", 1: "1", 1.26: "1.3", 22.4: "22", 99.9: "100", 1153.2: "1153"} {
		require.Equal(t, want, figure(v))
	}
	for most, want := range map[float64]float64{0: 1, 1: 0.2, 9: 2, 1153: 500, 0.03: 0.01} {
		require.InEpsilon(t, want, tickOf(most), 1e-9)
	}
}
