//go:build duckdb

package views

import (
	"context"
	"encoding/csv"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
)

// asker answers SQL with texts.
type asker func(ctx context.Context, sql string) ([][]string, error)

// The whole pipeline on embedded parts, asked through `weir query`.
func TestViewsEmbedded(t *testing.T) {
	w, _ := fleet.Embedded(t)
	f := launch(t, &w)
	play(t, f, w, askWeir(f))
}

func launch(t *testing.T, w *fleet.World) *fleet.Fleet {
	t.Helper()
	w.Sources = "sources:\n- {id: source1, enabled: true, write_keys: [key-one]}\n"
	w.Env = append(w.Env, "WEIR_LEDGER_EVERY=1s")
	return fleet.Launch(t, *w)
}

// play sends the rounds, and waits after each until every answer is right: of all of them, for views change only by what
// they gain.
func play(t *testing.T, f *fleet.Fleet, w fleet.World, askers ...asker) {
	t.Helper()
	for i, round := range Rounds() {
		require.NoError(t, round.Send(t.Context(), w.Broker))
		require.NoError(t, f.Drained(t.Context(), time.Minute))
		for _, ask := range askers {
			for _, check := range round.Checks {
				require.NoError(t, f.Await(t.Context(), time.Minute, func(ctx context.Context) error {
					got, err := ask(ctx, check.SQL)
					if err == nil && !reflect.DeepEqual(check.Want, got) {
						err = fmt.Errorf("%s: want %q, got %q", check.SQL, check.Want, got)
					}
					return err
				}), "round %d", i+1)
			}
		}
	}
}

func askWeir(f *fleet.Fleet) asker {
	return func(ctx context.Context, sql string) ([][]string, error) {
		out, err := f.Weir(ctx, "query", "--local", "--output", "csv", "--lake", fleet.LakeURL, sql)
		if err != nil {
			return nil, err
		}
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) < 2 {
			return nil, err
		}
		return rows[1:], nil
	}
}
