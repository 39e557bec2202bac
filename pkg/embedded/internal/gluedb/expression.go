package gluedb

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// nullValue is how a partition says that it has no value for a key.
const nullValue = "__HIVE_DEFAULT_PARTITION__"

// truth is SQL's: what is compared with NULL is neither true nor false.
type truth int8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// predicate judges a partition by its values.
type predicate func(values []string) (truth, error)

// parseExpression reads GetPartitions' WHERE clause over the table's keys; ""
// matches all.
func parseExpression(text string, keys []key) (func(values []string) (bool, error), error) {
	if strings.TrimSpace(text) == "" {
		return func([]string) (bool, error) { return true, nil }, nil
	}
	p := &parser{keys: keys}
	var err error
	if p.tokens, err = tokenize(text); err == nil {
		var where predicate
		if where, err = p.or(); err == nil && p.peek().kind != endToken {
			err = fmt.Errorf("%q is left over", p.peek().text)
		} else if err == nil {
			return func(values []string) (bool, error) {
				t, err := where(values)
				return t == isTrue, err
			}, nil
		}
	}
	return nil, fail(invalidInput, "Unsupported expression '%s': %v", text, err)
}

type tokenKind uint8

const (
	endToken    tokenKind = iota
	wordToken             // identifiers and keywords
	quotedToken           // "identifier" or `identifier`
	textToken             // 'text'
	numberToken
	signToken
)

type token struct {
	kind tokenKind
	text string
}

var tokenPattern = regexp.MustCompile("^(?:" +
	`([A-Za-z_][A-Za-z0-9_]*)` + // 1 word
	"|\"([^\"]+)\"|`([^`]+)`" + // 2, 3 quoted
	`|'((?:[^']|'')*)'` + // 4 text
	`|(-?[0-9]+(?:\.[0-9]+)?)` + // 5 number
	`|(<>|!=|<=|>=|[=<>(),])` + // 6 sign
	")")

func tokenize(text string) ([]token, error) {
	var tokens []token
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		m := tokenPattern.FindStringSubmatchIndex(text)
		if m == nil {
			return nil, fmt.Errorf("%.20q is not understood", text)
		}
		for group, kind := range []tokenKind{wordToken, quotedToken, quotedToken, textToken, numberToken, signToken} {
			from, to := m[2*group+2], m[2*group+3]
			if from < 0 {
				continue
			}
			t := token{kind, text[from:to]}
			if kind == textToken {
				t.text = strings.ReplaceAll(t.text, "''", "'")
			}
			tokens = append(tokens, t)
		}
		text = text[m[1]:]
	}
	return tokens, nil
}

// parser is a recursive descent over the tokens.
type parser struct {
	tokens []token
	keys   []key
	depth  int
}

// maxNesting bounds the recursion on parentheses and NOTs.
const maxNesting = 200

func (p *parser) peek() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	return p.tokens[0]
}

func (p *parser) next() token {
	t := p.peek()
	if t.kind != endToken {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) word(w string) bool {
	if t := p.peek(); t.kind != wordToken || !strings.EqualFold(t.text, w) {
		return false
	}
	p.next()
	return true
}

func (p *parser) sign(s string) bool {
	if t := p.peek(); t.kind != signToken || t.text != s {
		return false
	}
	p.next()
	return true
}

func (p *parser) or() (predicate, error) {
	return p.chain("OR", p.and, func(a, b truth) truth { return max(a, b) })
}

func (p *parser) and() (predicate, error) {
	return p.chain("AND", p.not, func(a, b truth) truth { return min(a, b) })
}

func (p *parser) chain(word string, operand func() (predicate, error), join func(a, b truth) truth) (predicate, error) {
	left, err := operand()
	for err == nil && p.word(word) {
		a := left
		var b predicate
		if b, err = operand(); err != nil {
			break
		}
		left = func(values []string) (truth, error) {
			x, err := a(values)
			if err != nil {
				return isUnknown, err
			}
			y, err := b(values)
			return join(x, y), err
		}
	}
	return left, err
}

func (p *parser) not() (predicate, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("it is nested too deeply")
	}
	defer func() { p.depth-- }()
	if p.word("NOT") {
		return negate(p.not())
	}
	if !p.sign("(") {
		return p.comparison()
	}
	inner, err := p.or()
	if err == nil && !p.sign(")") {
		err = fmt.Errorf("a parenthesis is open")
	}
	return inner, err
}

func negate(inner predicate, err error) (predicate, error) {
	if err != nil {
		return nil, err
	}
	return func(values []string) (truth, error) {
		t, err := inner(values)
		return isTrue - t, err
	}, nil
}

// comparison is one test of a key, the key on the left.
func (p *parser) comparison() (predicate, error) {
	t := p.next()
	if t.kind != wordToken && t.kind != quotedToken {
		return nil, fmt.Errorf("%q stands where a key belongs", t.text)
	}
	at := slices.IndexFunc(p.keys, func(k key) bool { return strings.EqualFold(k.Name, t.text) })
	if at < 0 {
		return nil, fmt.Errorf("%s is no partition key", t.text)
	}
	c := compared{at: at, key: p.keys[at]}
	if p.word("IS") {
		not := p.word("NOT")
		if !p.word("NULL") {
			return nil, fmt.Errorf("NULL is missing after IS")
		}
		return c.null(!not), nil
	}
	if p.word("NOT") {
		return negate(p.test(c))
	}
	return p.test(c)
}

func (p *parser) test(c compared) (predicate, error) {
	switch {
	case p.word("IN"):
		return p.in(c)
	case p.word("BETWEEN"):
		return p.between(c)
	case p.word("LIKE"):
		return p.like(c)
	}
	t := p.next()
	holds, ok := comparisons[t.text]
	if !ok || t.kind != signToken {
		return nil, fmt.Errorf("%q stands where an operator belongs", t.text)
	}
	v, err := p.literal()
	if err != nil {
		return nil, err
	}
	return c.with(v, holds)
}

var comparisons = map[string]func(order int) bool{
	"=":  func(o int) bool { return o == 0 },
	"<>": func(o int) bool { return o != 0 },
	"!=": func(o int) bool { return o != 0 },
	"<":  func(o int) bool { return o < 0 },
	"<=": func(o int) bool { return o <= 0 },
	">":  func(o int) bool { return o > 0 },
	">=": func(o int) bool { return o >= 0 },
}

// literal is a text or a number; DATE '…' and TIMESTAMP '…' are their texts.
func (p *parser) literal() (string, error) {
	if !p.word("DATE") {
		p.word("TIMESTAMP")
	}
	t := p.next()
	if t.kind != textToken && t.kind != numberToken {
		return "", fmt.Errorf("%q stands where a value belongs", t.text)
	}
	return t.text, nil
}

func (p *parser) in(c compared) (predicate, error) {
	if !p.sign("(") {
		return nil, fmt.Errorf("a list is missing after IN")
	}
	var any predicate
	for {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		one, err := c.with(v, comparisons["="])
		if err != nil {
			return nil, err
		}
		any = either(any, one)
		if p.sign(")") {
			return any, nil
		}
		if !p.sign(",") {
			return nil, fmt.Errorf("the list of IN does not end")
		}
	}
}

func either(a, b predicate) predicate {
	if a == nil {
		return b
	}
	return func(values []string) (truth, error) {
		if t, err := a(values); err != nil || t == isTrue {
			return t, err
		}
		return b(values)
	}
}

func (p *parser) between(c compared) (predicate, error) {
	from, err := p.literal()
	if err != nil {
		return nil, err
	}
	if !p.word("AND") {
		return nil, fmt.Errorf("AND is missing after BETWEEN")
	}
	to, err := p.literal()
	if err != nil {
		return nil, err
	}
	low, err := c.with(from, comparisons[">="])
	if err != nil {
		return nil, err
	}
	high, err := c.with(to, comparisons["<="])
	if err != nil {
		return nil, err
	}
	return func(values []string) (truth, error) {
		a, err := low(values)
		if err != nil {
			return isUnknown, err
		}
		b, err := high(values)
		return min(a, b), err
	}, nil
}

func (p *parser) like(c compared) (predicate, error) {
	t := p.next()
	if t.kind != textToken {
		return nil, fmt.Errorf("%q stands where a pattern belongs", t.text)
	}
	pattern := strings.NewReplacer("%", ".*", "_", ".").Replace(regexp.QuoteMeta(t.text))
	re, err := regexp.Compile("(?s)^" + pattern + "$")
	if err != nil {
		return nil, err
	}
	return func(values []string) (truth, error) {
		if values[c.at] == nullValue {
			return isUnknown, nil
		}
		return truthOf(re.MatchString(values[c.at])), nil
	}, nil
}

// compared is the key of a comparison.
type compared struct {
	at  int
	key key
}

func (c compared) null(want bool) predicate {
	return func(values []string) (truth, error) {
		return truthOf((values[c.at] == nullValue) == want), nil
	}
}

// with compares the key's value with v, as numbers where the key's type is one.
func (c compared) with(v string, holds func(order int) bool) (predicate, error) {
	if !c.numeric() {
		return func(values []string) (truth, error) {
			if values[c.at] == nullValue {
				return isUnknown, nil
			}
			return truthOf(holds(strings.Compare(values[c.at], v))), nil
		}, nil
	}
	want, ok := new(big.Rat).SetString(v)
	if !ok {
		return nil, fmt.Errorf("%s is a number, %q is none", c.key.Name, v)
	}
	return func(values []string) (truth, error) {
		if values[c.at] == nullValue {
			return isUnknown, nil
		}
		have, ok := new(big.Rat).SetString(values[c.at])
		if !ok { // Glue fails the whole call, too
			return isUnknown, fail(invalidState, "partition value %q of %s is no number", values[c.at], c.key.Name)
		}
		return truthOf(holds(have.Cmp(want))), nil
	}, nil
}

func (c compared) numeric() bool {
	t, _, _ := strings.Cut(strings.ToLower(c.key.Type), "(")
	switch t {
	case "int", "integer", "bigint", "long", "tinyint", "smallint", "decimal":
		return true
	}
	return false
}
