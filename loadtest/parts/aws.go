package parts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Versions of the AWS stand-ins.
const (
	MotoVersion      = "5.2.5"
	VersitygwVersion = "v1.8.0"
	MinistackVersion = "1.5.33"
)

// Server is a part that speaks HTTP at URL.
type Server struct {
	*Process
	URL string
}

// FetchMoto makes a Python environment with moto's server in it. Prerequisite: Python 3 with venv and pip.
func FetchMoto(ctx context.Context) (string, error) {
	return fetchPython(ctx, "moto-"+MotoVersion, "moto[server]=="+MotoVersion)
}

// StartMoto starts moto on a free port; its state is in memory.
func StartMoto(ctx context.Context, dir string) (*Server, error) {
	home, err := FetchMoto(ctx)
	if err != nil {
		return nil, err
	}
	return startHTTP(ctx, time.Minute, "moto", dir, nil, func(port int) []string {
		return []string{filepath.Join(home, "bin", "moto_server"), "-H", "127.0.0.1", "-p", fmt.Sprint(port)}
	})
}

// FetchMinistack makes a Python environment with ministack in it, and the DuckDB that its Athena runs queries on.
// Prerequisite: Python 3 with venv and pip.
func FetchMinistack(ctx context.Context) (string, error) {
	return fetchPython(ctx, "ministack-"+MinistackVersion, "ministack=="+MinistackVersion, "duckdb==1.5.6", "pytz==2026.6")
}

// StartMinistack starts one on a free port: Athena, Glue and S3 behind one address, state in memory and in dir. Its Athena
// runs queries, in DuckDB's dialect.
func StartMinistack(ctx context.Context, dir string) (*Server, error) {
	home, err := FetchMinistack(ctx)
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	env := []string{fmt.Sprintf("GATEWAY_PORT=%d", port), "BIND_HOST=127.0.0.1", "ATHENA_ENGINE=duckdb", "S3_DATA_DIR=" + filepath.Join(dir, "s3"), "HOME=" + dir}
	return startHTTPOn(ctx, time.Minute, port, "ministack", dir, env, []string{filepath.Join(home, "bin", "ministack")})
}

// FetchVersitygw builds the gateway's own command with the go tool.
func FetchVersitygw(ctx context.Context) (string, error) {
	return once(ctx, "versitygw-"+VersitygwVersion, func(ctx context.Context, dir string) error {
		return run(ctx, dir, "env", "GOBIN="+dir, "GOFLAGS=", "go", "install", "github.com/versity/versitygw/cmd/versitygw@"+VersitygwVersion)
	})
}

// StartVersitygw starts an S3 on a free port over dir/data, where each bucket is a folder.
func StartVersitygw(ctx context.Context, dir, accessKey, secretKey string, buckets ...string) (*Server, error) {
	home, err := FetchVersitygw(ctx)
	if err != nil {
		return nil, err
	}
	data, err := filepath.Abs(filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	for _, bucket := range append(buckets, "") {
		if err := os.MkdirAll(filepath.Join(data, bucket), 0o755); err != nil {
			return nil, fmt.Errorf("make bucket %s: %w", bucket, err)
		}
	}
	env := []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey}
	return startHTTP(ctx, time.Minute, "versitygw", dir, env, func(port int) []string {
		return []string{filepath.Join(home, "versitygw"), "--port", fmt.Sprintf("127.0.0.1:%d", port), "--region", "us-east-1", "posix", data}
	})
}

// startHTTP starts a server on a free port and waits, limit at most, until it answers.
func startHTTP(ctx context.Context, limit time.Duration, name, dir string, env []string, command func(port int) []string) (*Server, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return startHTTPOn(ctx, limit, port, name, dir, env, command(port))
}

func startHTTPOn(ctx context.Context, limit time.Duration, port int, name, dir string, env, argv []string) (s *Server, err error) {
	s = &Server{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	if s.Process, err = StartProcess(name, dir, env, argv[0], argv[1:]...); err != nil {
		return nil, err
	}
	return s, s.up(ctx, limit, func(ctx context.Context) error { return getOK(ctx, s.URL) })
}
