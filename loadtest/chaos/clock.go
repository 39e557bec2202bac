package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// clockEnv is how many seconds a process's wall clock is off. Only the binary that buildSkewed makes reads it.
const clockEnv = "CHAOS_CLOCK_SECONDS"

// Go asks the kernel for the time without the C library, and a wall clock cannot be namespaced: so the clock is set
// off in the standard library's time.Now, by an overlay of the build. The code of weir is the same.
const (
	nowAsItIs  = "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {"
	nowSkewed  = "sec, nsec, mono := runtimeNow()\n\tsec += chaosSkew\n\tif mono == 0 {"
	skewedFile = `package time

import "syscall"

var chaosSkew = func() (seconds int64) {
	text, _ := syscall.Getenv("` + clockEnv + `")
	sign := int64(1)
	for _, c := range []byte(text) {
		if c == '-' {
			sign = -1
		} else {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	return sign * seconds
}()
`
)

// buildSkewed makes a weir whose clock can be set, in dir, and returns its path.
func buildSkewed(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find Go's own sources: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	source, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", fmt.Errorf("read Go's clock: %w", err)
	}
	if bytes.Count(source, []byte(nowAsItIs)) != 1 {
		return "", errors.New("set the clock off: time.Now of this Go is not as known: see clock.go")
	}
	files := map[string][]byte{
		"time.go":       bytes.Replace(source, []byte(nowAsItIs), []byte(nowSkewed), 1),
		"chaos_skew.go": []byte(skewedFile),
	}
	replace := map[string]string{}
	for name, text := range files {
		replace[filepath.Join(library, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return "", fmt.Errorf("write the clock: %w", err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", fmt.Errorf("encode the overlay: %w", err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return "", fmt.Errorf("write the overlay: %w", err)
	}
	bin := filepath.Join(dir, "weir-skewed")
	out, err := exec.CommandContext(ctx, "go", "build", "-tags", "duckdb", "-overlay", file, "-o", bin, "weir/services/weir").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build weir with another clock: %w\n%s", err, out)
	}
	return bin, nil
}
