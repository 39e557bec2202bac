package formats

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Engine answers questions. Each is asked as if it were the first: nothing that the engine keeps of an earlier one helps it.
type Engine interface {
	Name() string
	Ask(ctx context.Context, sql string) (Reading, error)
}

// Reading is one answer and what it took.
type Reading struct {
	Rows  [][]string
	Wall  time.Duration
	CPU   time.Duration // of all threads; 0 = not known
	Bytes int64         // read from the files, as they are stored
}

// Figure is a question asked of one form, several times: medians.
type Figure struct {
	Wall, CPU time.Duration
	Bytes     int64
}

// WrongError is an answer that differs from what was counted while the events were made.
type WrongError struct {
	Engine, Way string
	Got, Want   [][]string
}

func (e *WrongError) Error() string {
	return fmt.Sprintf("%s gives another answer from %s than was counted while the events were made: %d rows %.200v instead of %d rows %.200v",
		e.Engine, e.Way, len(e.Got), e.Got, len(e.Want), e.Want)
}

// Measure asks every question of every form, rounds times each, and gives the figures by question and way. said hears of
// each when it is known.
func Measure(ctx context.Context, l *Lake, e Engine, rounds int, said func(string)) ([][]Figure, error) {
	questions := Questions()
	figures := make([][]Figure, len(questions))
	for i, q := range questions {
		for _, way := range q.Ways {
			f, err := ask(ctx, e, way, l.Want[i], rounds)
			if err != nil {
				return nil, fmt.Errorf("ask %s for %s: %w", e.Name(), q.Name, err)
			}
			said(fmt.Sprintf("%s: %s, %s: %.2f s, %.1f MB", e.Name(), q.Name, way.Name(), f.Wall.Seconds(), float64(f.Bytes)/1e6))
			figures[i] = append(figures[i], f)
		}
	}
	return figures, nil
}

func ask(ctx context.Context, e Engine, way Way, want [][]string, rounds int) (Figure, error) {
	var walls, cpus []time.Duration
	var bytes []int64
	for range rounds {
		r, err := e.Ask(ctx, way.SQL)
		if err != nil {
			return Figure{}, err
		}
		if !reflect.DeepEqual(r.Rows, want) {
			return Figure{}, &WrongError{e.Name(), way.Name(), r.Rows, want}
		}
		walls, cpus, bytes = append(walls, r.Wall), append(cpus, r.CPU), append(bytes, r.Bytes)
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	slices.Sort(bytes)
	return Figure{Wall: walls[rounds/2], CPU: cpus[rounds/2], Bytes: bytes[rounds/2]}, nil
}
