package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

// Region is what the embedded parts call theirs.
const Region = "us-east-1"

const healthPath = "/healthz"

// S3Options of StartS3.
type S3Options struct {
	Dir       string // its own directory; bucket b is the folder Root()/b
	Addr      string // "127.0.0.1:7070"; port 0 picks a free one
	AccessKey string
	SecretKey string
	Buckets   []string     // created where absent
	Log       *slog.Logger // what goes wrong; nil = nowhere
}

// S3 is a running embedded S3.
type S3 struct {
	addr string
	root string
	lock *os.File
	stop context.CancelFunc
	http *transport
	done chan struct{} // closed when the server has ended
	err  error         // why; read after done
	once sync.Once
}

// StartS3 starts versitygw over a directory and returns once it answers. There
// can be one per process: versitygw keeps package globals.
func StartS3(o S3Options) (*S3, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("start embedded S3: %w", err)
	}
	lock, err := lockDir("S3", dir)
	if err != nil {
		return nil, err
	}
	s, err := startS3(o, dir)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	s.lock = lock
	if err := s.createBuckets(o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// startS3 binds and waits for the first healthy answer. versitygw insists on
// binding by itself, so a free port found for it can be lost again: with port 0
// another one is tried.
func startS3(o S3Options, dir string) (*S3, error) {
	for attempt := 1; ; attempt++ {
		ln, err := listen("S3", o.Addr)
		if err != nil {
			return nil, err
		}
		addr := ln.Addr().String()
		_ = ln.Close()
		s, err := runS3(o, dir, addr)
		if err == nil {
			return s, nil
		}
		if attempt == 5 || !strings.HasSuffix(o.Addr, ":0") {
			return nil, fmt.Errorf("start embedded S3 on %s: %w", addr, err)
		}
	}
}

func runS3(o S3Options, dir, addr string) (*S3, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	be, err := openRooted(filepath.Join(dir, "buckets"), filepath.Join(dir, "attributes"), log)
	if err != nil {
		return nil, err
	}
	for _, b := range o.Buckets {
		// An empty one may be half made, and then answers nothing but errors. One
		// that holds anything stays.
		_ = os.Remove(filepath.Join(be.root, b))
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &S3{addr: addr, root: be.root, http: newTransport(log), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = embedgw.RunVersityGW(ctx, be, &embedgw.Config{
			RootUserAccess:    o.AccessKey,
			RootUserSecret:    o.SecretKey,
			Region:            Region,
			Ports:             []string{addr},
			MultipartMaxParts: 10000,
			KeepAlive:         true,
			Quiet:             true,
			MaxConnections:    1000,
			MaxRequests:       1000,
			S3Options: []s3api.Option{
				s3api.WithRoute(http.MethodGet, healthPath, s.http.healthy),
				s3api.WithMiddleware("/", s.http.track),
			},
			// What versitygw would choose by itself, after a line on standard output.
			IAMService: auth.NewIAMServiceSingle(auth.Account{Access: o.AccessKey, Secret: o.SecretKey, Role: auth.RoleAdmin}),
		})
	}()
	if err := s.waitHealthy(); err != nil {
		stop()
		<-s.done
		return nil, err
	}
	return s, nil
}

func (s *S3) waitHealthy() error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.NewTimer(10 * time.Second)
	defer giveUp.Stop()
	for {
		resp, err := client.Get("http://" + s.addr + healthPath)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("health check answered %s", resp.Status)
		}
		select {
		case <-s.done:
			return s.err
		case <-giveUp.C:
			return err
		case <-tick.C:
		}
	}
}

func (s *S3) createBuckets(o S3Options) error {
	client := awss3.New(awss3.Options{
		Region:       Region,
		BaseEndpoint: aws.String("http://" + s.addr),
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(o.AccessKey, o.SecretKey, ""),
		HTTPClient:   &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
	for _, b := range o.Buckets {
		_, err := client.CreateBucket(context.Background(), &awss3.CreateBucketInput{Bucket: aws.String(b)})
		var owned *types.BucketAlreadyOwnedByYou
		if err != nil && !errors.As(err, &owned) {
			return fmt.Errorf("create bucket %s: %w", b, err)
		}
	}
	return nil
}

// Addr is the server's address, without the scheme.
func (s *S3) Addr() string { return s.addr }

// Root is the absolute directory of the buckets: object k of bucket b is the
// file Root()/b/k.
func (s *S3) Root() string { return s.root }

// closeGrace is how long Close waits for requests in flight.
const closeGrace = 2 * time.Second

// Close stops the server and waits for its end. Requests that take longer than its grace are cut.
func (s *S3) Close() error {
	s.once.Do(func() {
		s.stop()
		select {
		case <-s.done:
		case <-time.After(closeGrace):
			s.http.cut()
			<-s.done
		}
		_ = s.lock.Close()
	})
	if s.err != nil && !errors.Is(s.err, context.Canceled) {
		return fmt.Errorf("embedded S3: %w", s.err)
	}
	return nil
}

// openPosix opens the directory backend. It keeps S3's metadata in extended
// attributes, or in files beside the objects where the file system has none
// (tmpfs of older kernels); a directory keeps the way it began with.
func openPosix(root, attributes string) (*posix.Posix, error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	opts := posix.PosixOpts{CopyObjectThreshold: 5 << 30}
	_, err := os.Stat(attributes)
	if err != nil && (meta.XattrMeta{}).Test(root) == nil {
		return posix.New(root, meta.XattrMeta{}, opts)
	}
	if err := os.MkdirAll(attributes, 0o755); err != nil {
		return nil, err
	}
	side, err := meta.NewSideCar(attributes)
	if err != nil {
		return nil, err
	}
	return posix.New(root, side, opts)
}
