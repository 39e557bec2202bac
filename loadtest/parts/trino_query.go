package parts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Query runs one statement in catalog hive and the given schema and returns every row, values as JSON gives them.
func (tr *Trino) Query(ctx context.Context, schema, sql string) ([][]any, error) {
	rows, _, err := tr.Measure(ctx, schema, sql)
	return rows, err
}

// Measure is Query that also says how many bytes Trino read from the files. A statement for which there is no node is
// asked again for half a minute, as it has read nothing: a server that lists itself as active, and answers, may still refuse
// the first statement on a table so (trinodb/trino#2214).
func (tr *Trino) Measure(ctx context.Context, schema, sql string) (rows [][]any, bytes int64, err error) {
	for range 60 {
		if rows, bytes, err = tr.measure(ctx, schema, sql); !errors.Is(err, errNoNode) {
			return rows, bytes, err
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return nil, 0, err
		}
	}
	return nil, 0, err
}

var errNoNode = errors.New("it has no node for this catalog")

func (tr *Trino) measure(ctx context.Context, schema, sql string) (rows [][]any, bytes int64, err error) {
	method, url, asked := http.MethodPost, tr.URL+"/v1/statement", sql
	for url != "" {
		var page struct {
			NextURI string        `json:"nextUri"`
			Data    [][]any       `json:"data"`
			Error   *trinoRefusal `json:"error"`
			Stats   struct {
				PhysicalInputBytes int64 `json:"physicalInputBytes"`
			} `json:"stats"`
		}
		if err := tr.call(ctx, method, url, schema, asked, &page); err != nil {
			return nil, 0, fmt.Errorf("ask trino %q: %w", sql, err)
		}
		if page.Error != nil {
			return nil, 0, page.Error.of(sql)
		}
		rows, bytes = append(rows, page.Data...), page.Stats.PhysicalInputBytes
		method, url, asked = http.MethodGet, page.NextURI, ""
	}
	return rows, bytes, nil
}

type trinoRefusal struct {
	Message string `json:"message"`
	Name    string `json:"errorName"`
}

func (r *trinoRefusal) of(sql string) error {
	if r.Name == "NO_NODES_AVAILABLE" {
		return fmt.Errorf("trino refused %q: %s: %w", sql, r.Message, errNoNode)
	}
	return fmt.Errorf("trino refused %q: %s", sql, r.Message)
}

func (tr *Trino) call(ctx context.Context, method, url, schema, body string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("X-Trino-User", "weir")
	req.Header.Set("X-Trino-Catalog", "hive")
	req.Header.Set("X-Trino-Schema", schema)
	req.Header.Set("X-Trino-Time-Zone", "UTC")
	req.Header.Set("X-Trino-Session", tr.Session)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
