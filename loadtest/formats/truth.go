package formats

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// truth counts the answers while the events are made, from what was written into them.
type truth struct {
	types map[string]int             // of the one source's day
	rows  [][]string                 // the one user's
	users map[string]map[string]bool // by event
	cents map[string]int64           // of revenue, by day
}

func newTruth() *truth {
	return &truth{types: map[string]int{}, users: map[string]map[string]bool{}, cents: map[string]int64{}}
}

func (t *truth) add(source, day string, text []byte) error {
	var e struct {
		Type, MessageID string
		Event, UserID   *string
		Properties      struct{ Revenue json.Number }
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return fmt.Errorf("read an event of the corpus: %w", err)
	}
	if source == oneSource && day == oneDay {
		t.types[e.Type]++
	}
	if e.UserID != nil && *e.UserID == oneUser {
		t.rows = append(t.rows, []string{e.MessageID, e.Type, orNull(e.Event), day})
	}
	if e.Event == nil {
		return nil
	}
	if t.users[*e.Event] == nil {
		t.users[*e.Event] = map[string]bool{}
	}
	if e.UserID != nil {
		t.users[*e.Event][*e.UserID] = true
	}
	if *e.Event != anOrder {
		return nil
	}
	cents, err := centsOf(e.Properties.Revenue.String())
	t.cents[day] += cents
	return err
}

// centsOf reads an amount with two decimals.
func centsOf(amount string) (int64, error) {
	whole, rest, _ := strings.Cut(amount, ".")
	if len(rest) != 2 {
		return 0, fmt.Errorf("the amount %q has no two decimals", amount)
	}
	return strconv.ParseInt(whole+rest, 10, 64)
}

// answers are in the order of Questions, the rows in the order that these ask for.
func (t *truth) answers() [][][]string {
	types, users, revenue := [][]string{}, [][]string{}, [][]string{}
	for _, k := range slices.Sorted(maps.Keys(t.types)) {
		types = append(types, []string{k, strconv.Itoa(t.types[k])})
	}
	slices.SortFunc(t.rows, slices.Compare)
	for _, k := range slices.Sorted(maps.Keys(t.users)) {
		users = append(users, []string{k, strconv.Itoa(len(t.users[k]))})
	}
	for _, k := range slices.Sorted(maps.Keys(t.cents)) {
		revenue = append(revenue, []string{k, fmt.Sprintf("%d.%02d", t.cents[k]/100, t.cents[k]%100)})
	}
	return [][][]string{types, t.rows, users, revenue}
}

// null is how a missing value is shown.
const null = "NULL"

func orNull(s *string) string {
	if s == nil {
		return null
	}
	return *s
}

// shown is a value of an engine's answer as the truth shows it.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return null
	case float64: // Trino's numbers come as JSON's
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}
