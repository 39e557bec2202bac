// Package formats measures what a file format is worth to whoever asks: the same events as JSON lines, as JSON lines in gzip
// and as weir's Parquet, laid out by source and day, asked the same questions through the same engine. Its invariant: every
// answer is held against what was counted while the events were made; a figure of a wrong answer is never shown. It starts
// no servers but those that somebody opens with OpenTrino, and judges no engine. Owned by whoever owns the benchmarks.
package formats

import "fmt"

// Form is one way to keep the events.
type Form uint8

// The forms.
const (
	JSON Form = iota
	Gzip
	Parquet
)

// forms are how each is called, which table shows it, and where its files are below the lake.
var forms = [...]struct{ name, table, dir, ext string }{
	JSON:    {"JSON lines", "events_json", "json", ".jsonl"},
	Gzip:    {"JSON lines, gzip", "events_gzip", "gzip", ".jsonl.gz"},
	Parquet: {"Parquet", "eventlogs", "eventlogs", ".parquet"},
}

func (f Form) String() string { return forms[f].name }

// Way is a question asked of one form.
type Way struct {
	Form Form
	Note string // what it reads, where a form has more than one way
	SQL  string // of both engines
}

// Name of the way in a table or a picture.
func (w Way) Name() string {
	if w.Note == "" {
		return w.Form.String()
	}
	return w.Form.String() + ", " + w.Note
}

// Question is what an analyst wants to know.
type Question struct {
	Name string
	Ways []Way
}

// What the questions ask for.
const (
	oneSource = "source1"
	oneDay    = "2026-03-03"
	oneUser   = "user-10100" // some hundred of a million events are theirs
	anOrder   = "Order Completed"
)

// Questions are the four that are measured.
func Questions() []Question {
	const (
		fromMap    = "element_at(properties, 'revenue')"
		fromColumn = "properties_revenue"
	)
	day := fmt.Sprintf("select type, count(messageid) from %%s where sourceid = '%s' and dt = '%s' group by 1 order by 1", oneSource, oneDay)
	user := fmt.Sprintf("select messageid, type, event, dt from %%s where userid = '%s' order by 1", oneUser)
	users := "select event, count(distinct userid) from %s where event is not null group by 1 order by 1"
	revenue := func(from string) string {
		return fmt.Sprintf("select dt, cast(sum(cast(%s as decimal(18,2))) as varchar) from %%s where event = '%s' group by 1 order by 1", from, anOrder)
	}
	return []Question{
		{"count by type, one source's day", everywhere(day)},
		{"one user's events, all days", everywhere(user)},
		{"distinct users by event, all days", everywhere(users)},
		{"revenue by day, from properties", []Way{
			of(JSON, "", revenue(fromMap)), of(Gzip, "", revenue(fromMap)),
			of(Parquet, "the map", revenue(fromMap)), of(Parquet, "the column", revenue(fromColumn)),
		}},
	}
}

func everywhere(sql string) []Way {
	return []Way{of(JSON, "", sql), of(Gzip, "", sql), of(Parquet, "", sql)}
}

func of(f Form, note, sql string) Way {
	return Way{Form: f, Note: note, SQL: fmt.Sprintf(sql, forms[f].table)}
}
