package dev

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weir/pkg/settings"
	"weir/services/gateway"
	"weir/services/query"
)

// Config of `weir dev`. What it leaves out has the default of its service.
type Config struct {
	Dir  string `name:"dir" default:".weir" help:"Folder of everything that is kept: Kafka's log, S3's objects, Glue's tables, the sources."`
	Demo bool   `name:"demo" help:"Send sample events, wait until they can be queried, and show the answer."`
	Once bool   `name:"once" help:"With demo: stop after the answer."`

	GatewayAddr string `name:"gateway-addr" default:"127.0.0.1:8080" help:"Address of the HTTP gateway; port 0 picks a free one, here and below."`
	AdminAddr   string `name:"admin-addr" default:"127.0.0.1:9090" help:"Address of /metrics, /livez, /readyz and /debug/pprof."`
	KafkaAddr   string `name:"kafka-addr" default:"127.0.0.1:9092" help:"Address of the embedded Kafka."`
	S3Addr      string `name:"s3-addr" default:"127.0.0.1:7070" help:"Address of the embedded S3."`
	GlueAddr    string `name:"glue-addr" default:"127.0.0.1:7071" help:"Address of the embedded Glue."`

	FileAge    time.Duration `name:"file-age" default:"3s" help:"A file is cut at this age; rows are visible within it and 10s."`
	DemoEvents int           `name:"demo-events" default:"4000" help:"How many events the demo sends."`
	DemoRate   int           `name:"demo-rate" default:"1000" help:"How many events a second the demo sends."`
}

// Validate lists everything that is wrong.
func (c Config) Validate() []error {
	var f settings.Faults
	f.Check(c.Dir != "", "dir", "is empty")
	f.Check(!c.Once || c.Demo, "once", "goes with demo only")
	for _, a := range c.addresses() {
		_, port, err := net.SplitHostPort(a.addr)
		f.Check(err == nil && port != "", a.setting, "%q is not host:port", a.addr)
	}
	f.Check(c.FileAge >= 100*time.Millisecond, "file-age", "%s is shorter than 100ms", c.FileAge)
	f.Check(c.DemoEvents >= 1 && c.DemoEvents <= 1_000_000, "demo-events", "%d is not between 1 and 1000000", c.DemoEvents)
	f.Check(c.DemoRate >= 1 && c.DemoRate <= 100_000, "demo-rate", "%d is not between 1 and 100000", c.DemoRate)
	c.checkSources(&f)
	if c.Demo {
		f.AddErr("demo", query.Available())
	}
	return f
}

// checkSources looks at the sources of an earlier start; the first one writes them.
func (c Config) checkSources(f *settings.Faults) {
	path := filepath.Join(c.Dir, sourcesFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return
	}
	cfg := gateway.DefaultConfig()
	cfg.Sources = path
	wrong := cfg.Validate() // of the sources: all else has its default
	if len(wrong) == 0 {
		_, err := readSender(path)
		f.AddErr("sources", err)
	}
	*f = append(*f, wrong...)
}

// onLoopback gives every address without a host the one of this machine: write key and credentials guard nothing.
func (c Config) onLoopback() Config {
	for _, addr := range []*string{&c.GatewayAddr, &c.AdminAddr, &c.KafkaAddr, &c.S3Addr, &c.GlueAddr} {
		if strings.HasPrefix(*addr, ":") {
			*addr = "127.0.0.1" + *addr
		}
	}
	return c
}

type address struct{ setting, addr string }

func (c Config) addresses() []address {
	return []address{
		{"gateway-addr", c.GatewayAddr},
		{"admin-addr", c.AdminAddr},
		{"kafka-addr", c.KafkaAddr},
		{"s3-addr", c.S3Addr},
		{"glue-addr", c.GlueAddr},
	}
}
