package catalog

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weir/pkg/lake"
	"weir/pkg/ledger"
	"weir/pkg/s3"
	"weir/pkg/settings"
)

// HistoryConfig is every setting of a look at what was published.
type HistoryConfig struct {
	Lake     string   `name:"lake" default:"s3://weir/lake" help:"Where the lake is, as s3://bucket/prefix."`
	Database string   `name:"database" default:"weir" help:"The Glue database."`
	Source   []string `name:"source" help:"Only these sources. Empty: all."`
	Days     int      `name:"days" default:"30" help:"The last so many days (dt), today included. 0: all."`
	By       string   `name:"by" default:"day" enum:"day,source" help:"A line for each table and day, or for each source of these too."`
}

// Validate lists everything that is wrong.
func (c HistoryConfig) Validate() []error {
	f := settings.Faults(ReconcileConfig{Lake: c.Lake, Database: c.Database}.Validate())
	f.Check(c.Days >= 0, "days", "%d is less than none", c.Days)
	return f
}

// Sum is what was published of one day: of a source, or of all where its SourceID is "".
type Sum = ledger.Sum

// History sums up what the ledger holds of a table, of all tables where it is "": the newest day first.
func History(ctx context.Context, cfg HistoryConfig, table string) ([]Sum, error) {
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return nil, err
	}
	store, err := s3.Open(ctx, s3.Config{Lake: location}, nil)
	if err != nil {
		return nil, err
	}
	filter := ledger.Filter{Sources: cfg.Source}
	if cfg.Days > 0 {
		filter.From = lake.DayOf(time.Now()) - lake.Day(cfg.Days-1)
	}
	var found []Sum
	for s, err := range ledger.Open(store, cfg.Database).Each(ctx, table, filter) {
		if err != nil {
			return nil, err
		}
		s.Columns = nil // none is shown
		if cfg.By != "source" {
			s.Partition.SourceID = ""
		}
		if last := len(found) - 1; last >= 0 && found[last].Partition == s.Partition {
			found[last].Add(s) // sources follow each other
		} else {
			found = append(found, s)
		}
	}
	slices.SortStableFunc(found, func(a, b Sum) int { return cmp.Compare(b.Partition.Day, a.Partition.Day) })
	return found, nil
}
