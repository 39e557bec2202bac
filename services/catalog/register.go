package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/pkg/flush"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/promote/stored"
	"weir/pkg/s3"
	"weir/pkg/settings"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
)

// RegisterConfig is every setting of a registration of what jobs have written.
type RegisterConfig struct {
	ReconcileConfig `embed:""`

	Table  string   `name:"table" required:"" help:"What a job wrote: eventlogs, messages_by_type_daily or messages_by_type_weekly."`
	Source []string `name:"source" help:"Only partitions of these sources. Empty: of all."`
	From   string   `name:"from" help:"Only partitions from this day on, YYYY-MM-DD."`
	To     string   `name:"to" help:"Only partitions to this day, YYYY-MM-DD, included."`
	DryRun bool     `name:"dry-run" help:"Say what would be registered, and do nothing."`
}

// jobTables are those that jobs of deploy/emr write.
func jobTables() []lake.Table {
	return []lake.Table{lake.EventLogs(), lake.MessagesByTypeDaily(), lake.MessagesByTypeWeekly()}
}

// Validate lists everything that is wrong.
func (c RegisterConfig) Validate() []error {
	f := settings.Faults(c.ReconcileConfig.Validate())
	_, known := c.table()
	f.Check(known, "table", "%q is written by no job: want eventlogs, messages_by_type_daily or messages_by_type_weekly", c.Table)
	for _, source := range c.Source {
		f.Check(lake.ValidSourceID([]byte(source)), "source", "%q is no source id", source)
	}
	first, err := dayOr(c.From, firstDay)
	f.AddErr("from", err)
	last, err := dayOr(c.To, lastDay)
	f.AddErr("to", err)
	f.Check(first <= last, "to", "%s is before %s, where it begins", c.To, c.From)
	return f
}

func (c RegisterConfig) table() (lake.Table, bool) {
	all := jobTables()
	i := slices.IndexFunc(all, func(t lake.Table) bool { return t.Name == c.Table })
	return all[max(i, 0)], i >= 0
}

const (
	firstDay = -1 << 31
	lastDay  = 1<<31 - 1
)

func dayOr(text string, otherwise lake.Day) (lake.Day, error) {
	if text == "" {
		return otherwise, nil
	}
	return lake.ParseDay(text)
}

// Registration is what became of one partition that Glue did not show as the lake holds it.
type Registration struct {
	SourceID string
	Day      lake.Day
	Location string
	Result   RegisterResult
	Why      string // "" where it was registered
}

// RegisterResult says what became of a partition.
type RegisterResult string

// The results. Whatever is refused is as it was.
const (
	RegisterDone    RegisterResult = "registered"
	RegisterWould   RegisterResult = "would be registered"
	RegisterRefused RegisterResult = "refused"
)

// Register makes Glue hold the partitions of a table in which a job has put objects, and the table if that is missing.
// What sinks write is the catalog's that runs. It returns what Glue did not hold so, and how many partitions it did.
// What was done before an error stays, and doing it again does no harm.
func Register(ctx context.Context, cfg RegisterConfig) (done []Registration, stood int, err error) {
	if err := settings.Join(cfg.Validate()); err != nil {
		return nil, 0, err
	}
	table, _ := cfg.table()
	location, err := lake.ParseLocation(cfg.Lake)
	if err != nil {
		return nil, 0, err
	}
	store, err := s3.Open(ctx, s3.Config{Lake: location}, nil)
	if err != nil {
		return nil, 0, err
	}
	g, err := glue.Open(ctx, glue.Config{MaxBackoff: glueBackoff}, nil)
	if err != nil {
		return nil, 0, err
	}
	r := registration{cfg: cfg, table: table, lake: change.NewLake(location, table), glue: g}
	if table.Name == lake.EventLogsName {
		settled, _, err := stored.Read(ctx, store, promote.Registry{})
		if err != nil {
			return nil, 0, err
		}
		r.lake.Promoted = settled.Registry
	}
	found, err := r.written(ctx, store)
	if err != nil {
		return nil, 0, err
	}
	missing, stood, err := r.missing(ctx, found)
	if err == nil && !cfg.DryRun {
		err = r.register(ctx, missing)
	}
	return r.done, stood, err
}

type registration struct {
	cfg   RegisterConfig
	table lake.Table
	lake  change.Lake
	glue  *glue.Catalog
	done  []Registration
}

func (r *registration) tell(format string, args ...any) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(fmt.Sprintf(format, args...))
	}
}

// written lists the partitions that hold an object of a job, in the order of their paths.
func (r *registration) written(ctx context.Context, store *s3.Store) ([]lake.Partition, error) {
	first, err := dayOr(r.cfg.From, firstDay)
	if err != nil {
		return nil, err
	}
	last, err := dayOr(r.cfg.To, lastDay)
	if err != nil {
		return nil, err
	}
	found := make(map[lake.Partition]struct{})
	n := 0
	for o, err := range store.List(ctx, r.table.Dir+"/", "") {
		if err != nil {
			return nil, err
		}
		if n++; n%10_000 == 0 {
			r.tell("%d objects listed", n)
		}
		p, made := lake.ParseJobKey(r.table, o.Key)
		if made && first <= p.Day && p.Day <= last && (len(r.cfg.Source) == 0 || slices.Contains(r.cfg.Source, p.SourceID)) {
			found[p] = struct{}{}
		}
	}
	list := make([]lake.Partition, 0, len(found))
	for p := range found {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b lake.Partition) int {
		return cmp.Or(cmp.Compare(a.SourceID, b.SourceID), cmp.Compare(a.Day, b.Day))
	})
	return list, nil
}

// missing are those that Glue does not hold. One that it holds elsewhere is refused: somebody may have meant it.
func (r *registration) missing(ctx context.Context, found []lake.Partition) (missing []lake.Partition, stood int, err error) {
	r.tell("comparing %d partitions with Glue", len(found))
	held := make(map[string]string)
	for p, err := range r.glue.Partitions(ctx, r.cfg.Database, r.table.Name, glue.Filter{ExcludeColumns: true}) {
		if errors.Is(err, glue.ErrNotFound) {
			break // there is no table yet
		}
		if err != nil {
			return nil, 0, err
		}
		held[strings.Join(p.Values, "/")] = p.Location
	}
	for _, p := range found {
		want := r.lake.PartitionOf(r.table, p)
		at, known := held[strings.Join(want.Values, "/")]
		switch {
		case !known:
			missing = append(missing, p)
			if r.cfg.DryRun {
				r.add(p, RegisterWould, "")
			}
		case strings.TrimSuffix(at, "/") != strings.TrimSuffix(want.Location, "/"):
			r.add(p, RegisterRefused, fmt.Sprintf("Glue leads to %s; it is left alone: change it in Glue if it is wrong", at))
		default:
			stood++
		}
	}
	return missing, stood, nil
}

func (r *registration) register(ctx context.Context, missing []lake.Partition) error {
	refused := make(map[lake.Partition]error)
	registrar := follow.NewRegistrar(r.glue, r.glue, r.cfg.Database, r.lake, func(f follow.Fact) {
		if no, ok := f.(follow.Refused); ok {
			refused[no.Partition] = no.Err
		}
	})
	if err := registrar.Tables(ctx); err != nil {
		return err
	}
	files := make([]flush.NotifiedFile, len(missing))
	for i, p := range missing {
		files[i] = flush.NotifiedFile{Table: p.Table, Partition: p}
	}
	r.tell("registering %d partitions", len(missing))
	if err := registrar.Partitions(ctx, []flush.Notification{{Files: files}}); err != nil {
		return err
	}
	for _, p := range missing {
		if why := refused[p]; why != nil {
			r.add(p, RegisterRefused, why.Error())
			continue
		}
		r.add(p, RegisterDone, "")
	}
	return nil
}

func (r *registration) add(p lake.Partition, result RegisterResult, why string) {
	r.done = append(r.done, Registration{
		SourceID: p.SourceID, Day: p.Day, Location: r.lake.PartitionOf(r.table, p).Location, Result: result, Why: why,
	})
}
