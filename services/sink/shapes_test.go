package sink

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush/codec"
	"weir/pkg/shape"
)

// Manifests tell of the properties of every event that their files hold, each once, across partitions, cuts and restarts.
func TestManifestsTellOfShapes(t *testing.T) {
	w := newWorld(t, 2)
	rnd := rand.New(rand.NewPCG(3, 3))
	want := map[string]map[string]int64{}
	values := []string{`1`, `1.5`, `"x"`, `true`, `{"a":1}`}
	kinds := []shape.Kind{shape.Integer, shape.Number, shape.Text, shape.Boolean, shape.Nested}
	events := int64(0)
	for range 3 {
		p := w.start()
		for partition := range int32(2) {
			var records []*kgo.Record
			for range 100 {
				name := fmt.Sprintf("Event %d", rnd.IntN(3))
				if want[name] == nil {
					want[name] = map[string]int64{}
				}
				var properties []string
				for key := range 4 {
					if v := rnd.IntN(6); v < len(values) {
						properties = append(properties, fmt.Sprintf(`"k%d":%s`, key, values[v]))
						want[name][fmt.Sprintf("k%d %s", key, shape.Kinded[kinds[v]])]++
					}
				}
				body := fmt.Sprintf(`{"type":"track","event":"%s","properties":{%s}}`, name, strings.Join(properties, ","))
				require.True(t, json.Valid([]byte(body)))
				records = append(records, &kgo.Record{Key: []byte([]string{"a", "b"}[rnd.IntN(2)]), Value: []byte(body)})
				events++
			}
			w.produce(partition, records...)
		}
		w.awaitFlushed()
		require.NoError(t, p.end())
	}
	sum := new(shape.Summary)
	for _, m := range w.manifests() {
		seen, err := codec.UnpackShapes(m.Shapes)
		require.NoError(t, err)
		sum.Merge(seen, shape.Limits{Events: 10, Properties: 10, Total: 100})
	}
	require.Equal(t, shape.Unnoted{}, sum.Unnoted)
	got := map[string]map[string]int64{}
	for e, seen := range sum.Events {
		events -= seen.Events
		got[e.Name] = map[string]int64{}
		for key, counts := range seen.Properties {
			for k, n := range counts {
				if n > 0 {
					got[e.Name][key+" "+shape.Kinded[k]] = n
				}
			}
		}
	}
	require.Equal(t, want, got)
	require.Zero(t, events)
}
