// Package sqltext reads SQL as a row of tokens: enough to bind parameters, to see what
// kind of statement it is and which names it mentions, also where no parser at hand
// knows the dialect. Texts, quoted names and comments are told from the rest, as Trino
// and DuckDB tell them. It judges no grammar; an engine does. Owned by whoever owns
// weir query.
package sqltext

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// kind of a token.
type kind uint8

const (
	word kind = iota // a name or keyword, or a number
	quoted
	text
	mark  // a question mark
	other // one character
)

type token struct {
	kind     kind
	from, to int
}

var shapes = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?(?:\*/|$)|'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|[\pL\pN_$]+|\S`)

var letter = regexp.MustCompile(`^[\pL\pN_$]`)

// tokens leaves comments out. An unfinished one, like an unfinished text, goes to the
// end.
func tokens(sql string) []token {
	var all []token
	for _, at := range shapes.FindAllStringIndex(sql, -1) {
		t := token{from: at[0], to: at[1], kind: other}
		switch first := sql[at[0]:at[1]]; {
		case strings.HasPrefix(first, "--"), strings.HasPrefix(first, "/*"):
			continue
		case first[0] == '\'':
			t.kind = text
		case first[0] == '"':
			t.kind = quoted
		case first == "?":
			t.kind = mark
		case letter.MatchString(first):
			t.kind = word
		}
		all = append(all, t)
	}
	return all
}

// Bind puts literals in the place of question marks, in their order.
func Bind(sql string, literals []string) (string, error) {
	var b strings.Builder
	last, n := 0, 0
	for _, t := range tokens(sql) {
		if t.kind != mark {
			continue
		}
		if n < len(literals) {
			b.WriteString(sql[last:t.from] + literals[n])
			last = t.to
		}
		n++
	}
	if n != len(literals) {
		return "", fmt.Errorf("the query has %d parameters (?), %d values are given with --param", n, len(literals))
	}
	return b.String() + sql[last:], nil
}

var plain = regexp.MustCompile(`(?i)^(?:-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|true|false|null)$`)

// Literal is a value as SQL: a number, true, false and null stand for themselves, as
// does a text that is already in quotes; everything else is a text.
func Literal(value string) string {
	if plain.MatchString(value) {
		return value
	}
	if t := tokens(value); len(t) == 1 && t[0].kind == text && t[0].from == 0 && t[0].to == len(value) && len(value) > 1 && strings.HasSuffix(value, "'") &&
		strings.Count(value, "'")%2 == 0 {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

// Kind is what a statement does.
type Kind uint8

// The kinds.
const (
	Other    Kind = iota // it may write
	Query                // it reads tables
	Metadata             // it reads none: SHOW, DESCRIBE, EXPLAIN of a query
)

// KindOf looks at how a statement begins. EXPLAIN ANALYZE runs what follows it, so that
// counts.
func KindOf(sql string) Kind {
	all := tokens(sql)
	words := func(i int) string {
		if i < len(all) {
			return strings.ToLower(sql[all[i].from:all[i].to])
		}
		return ""
	}
	i := 0
	if words(i) == "explain" {
		i++
		analyzed := words(i) == "analyze" || words(i) == "analyse"
		if analyzed {
			i++
		}
		if words(i) == "verbose" {
			i++
		}
		if words(i) == "(" {
			for i < len(all) && words(i) != ")" {
				i++
			}
			i++
		}
		for words(i) == "(" {
			i++
		}
		switch inner := begins(words(i)); {
		case inner == Query && !analyzed:
			return Metadata
		case inner == Query:
			return Query
		}
		return Other
	}
	for words(i) == "(" {
		i++
	}
	return begins(words(i))
}

func begins(keyword string) Kind {
	switch keyword {
	case "select", "with", "values", "from", "table":
		return Query
	case "show", "describe", "desc", "summarize":
		return Metadata
	}
	return Other
}

// Mentions are those of the names that stand in a statement, in the order of names;
// letter case does not count.
func Mentions(sql string, names []string) []string {
	there := make(map[string]bool)
	for _, t := range tokens(sql) {
		switch t.kind {
		case word:
			there[strings.ToLower(sql[t.from:t.to])] = true
		case quoted:
			there[strings.ToLower(strings.ReplaceAll(strings.Trim(sql[t.from:t.to], `"`), `""`, `"`))] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !there[strings.ToLower(n)] })
}

// Texts are the texts that stand in a statement, without their quotes.
func Texts(sql string) []string {
	var all []string
	for _, t := range tokens(sql) {
		if t.kind == text {
			all = append(all, strings.ReplaceAll(strings.TrimSuffix(sql[t.from+1:t.to], "'"), "''", "'"))
		}
	}
	return all
}

// Conjuncts are the parts of an expression that AND joins at its top. Where it reads a
// BETWEEN without brackets it cuts wrongly, and no part is an expression then.
func Conjuncts(expression string) []string {
	all := tokens(expression)
	if n := len(all); n > 2 && closes(expression, all) == n-1 {
		inner := expression[all[0].to:all[n-1].from]
		if parts := split(inner); len(parts) > 1 {
			return parts
		}
	}
	return split(expression)
}

// closes is the token that ends the bracket which the first one begins, or the
// first one itself.
func closes(sql string, all []token) int {
	depth := 0
	for i, t := range all {
		switch sql[t.from:t.to] {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}

func split(expression string) (parts []string) {
	depth, from := 0, 0
	for _, t := range tokens(expression) {
		switch text := expression[t.from:t.to]; {
		case text == "(":
			depth++
		case text == ")":
			depth--
		case depth == 0 && t.kind == word && strings.EqualFold(text, "and"):
			parts = append(parts, strings.TrimSpace(expression[from:t.from]))
			from = t.to
		}
	}
	return append(parts, strings.TrimSpace(expression[from:]))
}

// Explained is the statement that an EXPLAIN is about, or the statement itself.
func Explained(sql string) string { return explain.ReplaceAllString(sql, "") }

var explain = regexp.MustCompile(`(?is)^\s*explain\s+(?:analyze\s+)?(?:verbose\s+)?`)
