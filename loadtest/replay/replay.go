// Package replay sends the corpus through a running weir and knows, by encoding/json and rules written down a
// second time, what must stand in the table afterwards. It shares no code with the gateway or the sink.
package replay

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Capture is one HTTP request as an unmodified client library sent it.
type Capture struct {
	Client     string   `json:"client"`
	Method     string   `json:"method"`
	Path       string   `json:"path"`
	HTTP       string   `json:"http"`
	RawHeaders []string `json:"rawHeaders"`
	Body       string   `json:"body_b64"`
}

// Lines decodes a file of one JSON value a line.
func Lines[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []T
	for line := range bytes.Lines(text) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("read line %d of %s: %w", len(all)+1, path, err)
		}
		all = append(all, v)
	}
	return all, nil
}

// Send replays the request byte for byte over a connection of its own.
func (c Capture) Send(addr string) (status int, answer []byte, err error) {
	body, err := base64.StdEncoding.DecodeString(c.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("decode the body: %w", err)
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s HTTP/%s\r\n", c.Method, c.Path, c.HTTP)
	for i := 0; i+1 < len(c.RawHeaders); i += 2 {
		fmt.Fprintf(&head, "%s: %s\r\n", c.RawHeaders[i], c.RawHeaders[i+1])
	}
	head.WriteString("\r\n")
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err := conn.Write(append(head.Bytes(), body...)); err != nil {
		return 0, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// WriteKey finds the key that the client authenticated with: Basic, or writeKey in the body.
func (c Capture) WriteKey() string {
	for i := 0; i+1 < len(c.RawHeaders); i += 2 {
		if basic, found := strings.CutPrefix(c.RawHeaders[i+1], "Basic "); found && strings.EqualFold(c.RawHeaders[i], "authorization") {
			user, _ := base64.StdEncoding.DecodeString(basic)
			return strings.TrimSuffix(string(user), ":")
		}
	}
	if rest, found := strings.CutPrefix(c.Path, "/v1/projects/"); found {
		return strings.TrimSuffix(rest, "/settings")
	}
	return "wk_body"
}

// Refusal is the reason that gateway.md §1.7 gives an event of the corpus, "" where it is taken.
func Refusal(event map[string]any) string {
	text := func(key string) string { s, _ := event[key].(string); return s }
	switch {
	case text("userId") == "" && text("anonymousId") == "":
		return "no_user_anon_id"
	case event["type"] == "track" && text("event") == "":
		return "event_not_defined"
	}
	return ""
}
