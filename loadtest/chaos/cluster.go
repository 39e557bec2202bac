package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/loadtest/faults"
	"weir/loadtest/parts"
)

// processes are weir's, each started from the binary with flags and environment only. A member that ends by itself
// is counted and started again, as Kubernetes does. Safe for use by several goroutines.
type processes struct {
	bin, dir string
	skewed   string // the binary whose clock can be set; "" where none is
	cluster  Cluster
	common   []string // flags of every member
	env      []string
	sources  string // the file
	proxies  map[string]*faults.Proxy

	mu      sync.Mutex
	members []*member
	ended   []string // who ended by itself, with the end of its log
}

type member struct {
	name, role string
	args, env  []string
	admin      string // host:port
	listen     string // of a gateway
	proc       *parts.Process
	down       bool // ended on purpose
	paused     bool
}

func newProcesses(bin, dir string, c Cluster, w *world, proxies map[string]*faults.Proxy, sources []string) (*processes, error) {
	p := &processes{bin: bin, dir: dir, cluster: c, sources: filepath.Join(dir, "sources.yaml"), proxies: proxies}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the processes' folder: %w", err)
	}
	text := "sources:\n"
	for _, s := range sources {
		text += fmt.Sprintf("- {id: %s, enabled: true, write_keys: [%s]}\n", s, writeKey(s))
	}
	if err := os.WriteFile(p.sources, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the sources file: %w", err)
	}
	p.common = []string{"--kafka-brokers", strings.Join(w.brokers, ","), "--topic-replication", strconv.Itoa(w.replication())}
	p.env = []string{
		"AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey, "GOMAXPROCS=2",
	}
	for role, n := range map[string]int{roleGateway: c.Gateways, roleSink: c.Sinks, roleCatalog: c.Catalogs} {
		for i := range n {
			if _, err := p.add(role, i); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

func writeKey(source string) string { return "key-of-" + source }

// add makes a member; it does not start it.
func (p *processes) add(role string, i int) (*member, error) {
	port, err := parts.FreePort()
	if err != nil {
		return nil, err
	}
	m := &member{name: fmt.Sprintf("%s-%d", role, i), role: role, admin: fmt.Sprintf("127.0.0.1:%d", port)}
	for target, setting := range map[string]string{targetS3: "AWS_ENDPOINT_URL_S3=", targetGlue: "AWS_ENDPOINT_URL_GLUE="} {
		door, err := p.proxies[target].Door(m.name)
		if err != nil {
			return nil, err
		}
		m.env = append(m.env, setting+door)
	}
	partitions := strconv.Itoa(p.cluster.Partitions)
	m.args = append([]string{role, "--admin", m.admin}, p.common...)
	switch role {
	case roleGateway:
		if port, err = parts.FreePort(); err != nil {
			return nil, err
		}
		m.listen = fmt.Sprintf("127.0.0.1:%d", port)
		m.args = append(m.args, "--listen", m.listen, "--sources", p.sources, "--topic-partitions", partitions)
	case roleSink:
		m.args = append(m.args, "--lake", lakeURL, "--group", group, "--topic-partitions", partitions, "--memory", "512MiB",
			"--file-age", p.cluster.FileAge.String(), "--session-timeout", p.cluster.SessionTimeout.String(), "--group-protocol", p.cluster.Protocol, "--leave", p.cluster.Leave)
		if !p.cluster.Dynamic {
			m.env = append(m.env, "POD_NAME="+m.name)
		}
	case roleCatalog:
		m.args = append(m.args, "--lake", lakeURL, "--database", database)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = append(p.members, m)
	return m, nil
}

// start starts every member that is not running and returns once each is ready.
func (p *processes) start(ctx context.Context) error {
	for _, m := range p.list("") {
		if err := p.launch(m); err != nil {
			return err
		}
	}
	for _, m := range p.list("") {
		if err := p.ready(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func (p *processes) launch(m *member) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.launchLocked(m)
}

func (p *processes) launchLocked(m *member) (err error) {
	bin, env := p.bin, slices.Concat(p.env, m.env)
	if off := p.cluster.Clock[m.name]; off != 0 {
		bin, env = p.skewed, append(env, fmt.Sprintf("%s=%d", clockEnv, int(off.Seconds())))
	}
	m.proc, err = parts.StartProcess(m.name, p.dir, env, bin, m.args...)
	m.down, m.paused = false, false
	return err
}

// ready waits for the member's own word.
func (p *processes) ready(ctx context.Context, m *member) error {
	return m.proc.Await(ctx, time.Minute, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", m.name, resp.Status)
		}
		return nil
	})
}

// list is the members of a role, or all; those that are down on purpose too.
func (p *processes) list(role string) []*member {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*member
	for _, m := range p.members {
		if role == "" || m.role == role {
			found = append(found, m)
		}
	}
	return found
}

// running are the names of members that can be killed or paused now.
func (p *processes) running(role string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, m := range p.members {
		if (role == "" || m.role == role) && !m.down && !m.paused && m.proc != nil && !m.proc.Ended() {
			found = append(found, m.name)
		}
	}
	return found
}

func (p *processes) find(name string) (*member, error) {
	for _, m := range p.list("") {
		if m.name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no process %s", name)
}

// kill ends a member as kill -9 does.
func (p *processes) kill(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.down = true
	m.proc.Kill()
}

func (p *processes) pause(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.paused = true
	m.proc.Pause()
}

func (p *processes) resume(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.paused = false
	m.proc.Resume()
}

// drainLimit is longer than what any service gives itself.
const drainLimit = 90 * time.Second

// terminate ends a member as Kubernetes does, and waits. An exit code other than 0 is an error.
func (p *processes) terminate(ctx context.Context, m *member) error {
	p.mu.Lock()
	m.down = true
	proc := m.proc
	p.mu.Unlock()
	if proc == nil {
		return nil
	}
	proc.Resume()
	proc.Terminate()
	ctx, cancel := context.WithTimeout(ctx, drainLimit)
	defer cancel()
	if err := proc.Wait(ctx); err != nil {
		proc.Kill()
		return fmt.Errorf("%s was told to end: %w\n%s", m.name, err, proc.Tail())
	}
	return nil
}

// mend starts members that ended by themselves, and remembers them.
func (p *processes) mend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		if m.down || m.proc == nil || !m.proc.Ended() {
			continue
		}
		p.ended = append(p.ended, m.name+" ended by itself:\n"+m.proc.Tail())
		if err := p.launchLocked(m); err != nil {
			return err
		}
	}
	return nil
}

func (p *processes) endedByThemselves() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// stop ends all, gateways first.
func (p *processes) stop(ctx context.Context) error {
	var faults []error
	for _, role := range []string{roleGateway, roleSink, roleCatalog} {
		for _, m := range p.list(role) {
			if m.proc != nil && !m.proc.Ended() {
				faults = append(faults, p.terminate(ctx, m))
			}
		}
	}
	return errors.Join(faults...)
}

// gateways are the addresses of the HTTP API.
func (p *processes) gateways() []string {
	var all []string
	for _, m := range p.list(roleGateway) {
		all = append(all, "http://"+m.listen)
	}
	return all
}
