package formats

import (
	"fmt"
	"strings"
	"time"

	"weir/services/query/price"
)

// Measured is what one engine took, by question and way.
type Measured struct {
	Engine  string
	Figures [][]Figure
}

// Run is one measuring of one lake.
type Run struct {
	Day      string // 2026-11-29
	Revision string
	Machine  string // what it ran on, as a sentence's part
	Rounds   int
	Lake     *Lake
	Engines  []Measured
	Absent   string // why an engine is not among them; "" = all are
}

// larger is how much more there is in the lake that prices are worked out for too: Athena's least, 10 MB, hides what a query
// on a million events costs.
const larger = 1000

// Markdown is the run's page; picture is the address of its SVG.
func (r Run) Markdown(picture string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# JSON against Parquet\n\n%s, revision %s, %s. %s events of %s, %d sources, %d days, a file for each source and day.\n\n",
		r.Day, r.Revision, r.Machine, thousands(r.Lake.Events), price.Size(r.Lake.Bytes[JSON]/int64(r.Lake.Events)), sources, days)
	fmt.Fprintf(&b, "![Bytes read and time, by question and form](%s)\n\n", picture)
	b.WriteString("| the same events as | MB | bytes an event | of JSON |\n|---|---:|---:|---:|\n")
	for i, f := range forms {
		size := r.Lake.Bytes[Form(i)]
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", f.name, megabytes(size), size/int64(r.Lake.Events), percent(size, r.Lake.Bytes[JSON]))
	}
	for _, m := range r.Engines {
		r.table(&b, m)
	}
	if r.Absent != "" {
		fmt.Fprintf(&b, "\nNot measured here: %s\n", strings.ReplaceAll(strings.TrimSpace(r.Absent), "\n", "; "))
	}
	b.WriteString(r.notes())
	return b.String()
}

func (r Run) table(b *strings.Builder, m Measured) {
	fmt.Fprintf(b, "\n## %s\n\n| question | form | time, s | CPU, s | against JSON | MB read | of JSON | Athena asks | for %s times as much |\n|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
		m.Engine, thousands(larger))
	for i, q := range Questions() {
		base := m.Figures[i][0]
		for j, way := range q.Ways {
			f, name := m.Figures[i][j], q.Name
			if j > 0 {
				name = ""
			}
			fmt.Fprintf(b, "| %s | %s | %.2f | %s | %s | %s | %s | %s | %s |\n", name, way.Name(), f.Wall.Seconds(), cpu(f), ratio(base.Wall, f.Wall),
				megabytes(f.Bytes), percent(f.Bytes, base.Bytes), dollars(f.Bytes), dollars(f.Bytes*larger))
		}
	}
}

func (r Run) notes() string {
	var b strings.Builder
	cut := r.Lake.ByTime
	fmt.Fprintf(&b, `
Every answer was held against what was counted while the events were made; all forms gave it. Time and bytes are medians of
%d. Each question met an engine that had read nothing yet (DuckDB: a new one each time; Trino: without caches, but
warm), over files that stood in the kernel's memory: the time is work, not waiting for a disk or for S3; where others share
the machine, its ratios count. DuckDB's bytes
are what the kernel handed to the process, Trino's its own count (physicalInputBytes).

The prices are Athena's ($%.0f a TB, 10 MB at least) for those bytes. The last column is worked out, not measured: the same
for %s times the bytes. Athena's engine is Trino. Here it was told neither to read across gaps between columns nor to take
files below 3 MB whole, as it does where chunks are small, so that what it read grows with the lake.

What this does not show: a sink cuts the file of a source each minute (`+"`file-age`"+`). These events would be %s files of %d rows
instead of %d, %s MB instead of %s, and %s MB of that are footers, which every question reads that looks at all days. Sources
of few events a second do better with a longer `+"`file-age`"+`. gzip is billed as it is stored, so that a question which needs most
of an event costs little more than of Parquet, and each file keeps one core busy.

The questions, of Parquet:

`+"```sql\n", r.Rounds, price.DefaultPerTB, thousands(larger), thousands(cut.Files), r.Lake.Events/max(cut.Files, 1), len(r.Lake.Places),
		megabytes(cut.Bytes), megabytes(r.Lake.Bytes[Parquet]), megabytes(cut.Footers))
	for _, q := range Questions() {
		for _, way := range q.Ways {
			if way.Form == Parquet {
				fmt.Fprintf(&b, "%s;\n", way.SQL)
			}
		}
	}
	fmt.Fprintf(&b, "```\n\nAgain: `make bench-formats EVENTS=%d`\n", r.Lake.Events)
	return b.String()
}

// Picture is the run's SVG: what was read by the last engine, which is Athena's where that was there, and everybody's time.
func (r Run) Picture() string {
	last := r.Engines[len(r.Engines)-1]
	c := Chart{
		Title:  fmt.Sprintf("The same %s events as JSON and as Parquet", thousands(r.Lake.Events)),
		Note:   fmt.Sprintf("%s, weir %s. Shorter is better. Medians of %d, %s.", r.Day, r.Revision, r.Rounds, r.Machine),
		Panels: []string{"read by " + last.Engine + ", MB"},
	}
	for _, m := range r.Engines {
		c.Panels = append(c.Panels, m.Engine+", s")
	}
	for i, q := range Questions() {
		g := Group{Name: q.Name}
		for j, way := range q.Ways {
			bar := Bar{Name: way.Name(), Hue: j, Values: []float64{float64(last.Figures[i][j].Bytes) / 1e6}}
			for _, m := range r.Engines {
				bar.Values = append(bar.Values, m.Figures[i][j].Wall.Seconds())
			}
			g.Bars = append(g.Bars, bar)
		}
		c.Groups = append(c.Groups, g)
	}
	return Picture(c)
}

func dollars(bytes int64) string {
	return price.Text(price.Dollars(bytes, price.DefaultPerTB))
}

func megabytes(bytes int64) string { return figure(float64(bytes) / 1e6) }

func percent(part, whole int64) string {
	return figure(100*float64(part)/float64(max(whole, 1))) + " %"
}

// ratio is how many times faster a way is than the first.
func ratio(base, f time.Duration) string { return figure(base.Seconds()/f.Seconds()) + "×" }

func cpu(f Figure) string {
	if f.CPU == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", f.CPU.Seconds())
}

// thousands shows a number as people read it.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
