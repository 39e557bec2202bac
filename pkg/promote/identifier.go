package promote

import "strings"

// reserved are words that Athena takes for its own in a query or in DDL.
var reserved = func() map[string]bool {
	words := make(map[string]bool)
	for _, w := range strings.Fields(`alter and as between by case cast constraint create cross cube current_date current_time
		current_timestamp current_user deallocate delete describe distinct drop else end escape except execute exists extract
		false first for from full group grouping having in inner insert intersect into is join last left like localtime
		localtimestamp natural normalize not null of on or order outer prepare recursive right rollup select skip table then
		true unescape union unnest using values when where with
		all array date timestamp time user utc_timestamp start range row rows map partition`) {
		words[w] = true
	}
	return words
}()

// Identifier is the name of a table or column for what people have called text: in lower case with underscores, of letters
// and digits of ASCII, never a word that engines take for their own. Texts may share one: see Distinct.
func Identifier(text string) string {
	name := wordOf(text)
	switch {
	case name == "":
		name = "f_" + digest(text)
	case name[0] >= '0' && name[0] <= '9':
		name = "n_" + name
	}
	if reserved[name] {
		name += "_"
	}
	if len(name) > maxName {
		name = name[:maxName-9] + "_" + digest(text)
	}
	return name
}

// Distinct is Identifier, with a digest of text behind it where the name is taken.
func Distinct(text string, taken func(name string) bool) string {
	name, seed := Identifier(text), text
	for base := name; taken(name); seed += "\x00" {
		name = base + "_" + digest(seed)
	}
	return name
}
