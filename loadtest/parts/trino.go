package parts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// TrinoVersion is the newest release whose server core is published as a Maven artifact.
const TrinoVersion = "476"

const trinoConfig = `coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port=%[1]d
discovery.uri=http://127.0.0.1:%[1]d
query.max-memory-per-node=256MB
query.max-memory=256MB
memory.heap-headroom-per-node=200MB
node.internal-address=127.0.0.1
`

const trinoHive = `connector.name=hive
hive.metastore=glue
hive.metastore.glue.region=us-east-1
hive.metastore.glue.endpoint-url=%[1]s
hive.metastore.glue.aws-access-key=%[3]s
hive.metastore.glue.aws-secret-key=%[4]s
hive.metastore.glue.default-warehouse-dir=s3://weir/warehouse
hive.metastore.glue.partitions-segments=1
fs.hadoop.enabled=false
fs.native-s3.enabled=true
s3.endpoint=%[2]s
s3.region=us-east-1
s3.path-style-access=true
s3.aws-access-key=%[3]s
s3.aws-secret-key=%[4]s
hive.parquet.time-zone=UTC
hive.hive-views.enabled=true
hive.non-managed-table-writes-enabled=true
hive.table-statistics-enabled=false
hive.collect-column-statistics-on-write=false
hive.recursive-directories=true
`

var trinoJVM = []string{
	"-Xmx768M", "-XX:+UseG1GC", "-XX:ReservedCodeCacheSize=256M", "-Djdk.attach.allowAttachSelf=true",
	"-Djdk.nio.maxCachedBufferSize=2000000", "-Dfile.encoding=UTF-8", "-Duser.timezone=UTC",
	"--enable-native-access=ALL-UNNAMED", "--add-modules=jdk.incubator.vector",
	"-XX:+UnlockDiagnosticVMOptions", "-XX:G1NumCollectionsKeepPinned=10000000",
}

// TrinoOptions says which Glue and S3 the `hive` catalog reads.
type TrinoOptions struct {
	Dir, GlueURL, S3URL, AccessKey, SecretKey string

	Hive   string // more lines of the catalog's settings
	Athena bool   // the catalog is there once more under the name that it has in Athena, which views hold on to
}

// Trino is one single-node Trino with a `hive` catalog over Glue: the stand-in for Athena, whose engine it is.
type Trino struct {
	*Process
	URL     string
	Session string // properties of every statement, as "hive.name=value,…"; "" = none
}

// FetchTrino returns the server's folder with the hive plugin in it. Prerequisites: JDK 25 and Maven.
func FetchTrino(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("trino needs mvn on the path: %w", err)
	}
	if _, err := javaOf(ctx, "trino", "25"); err != nil {
		return "", err
	}
	return once(ctx, "trino-"+TrinoVersion, func(ctx context.Context, dir string) error {
		core := "trino-server-core-" + TrinoVersion + ".tar.gz"
		hive := "trino-hive-" + TrinoVersion + ".zip"
		commands := [][]string{
			mavenCopy(dir, "io.trino:trino-server-core:"+TrinoVersion+":tar.gz"),
			{"tar", "-xzf", core, "--strip-components=1"},
			mavenCopy(dir, "io.trino:trino-hive:"+TrinoVersion+":zip"),
			{"python3", "-m", "zipfile", "-e", hive, "plugin"},
			{"mv", filepath.Join("plugin", "trino-hive-"+TrinoVersion), filepath.Join("plugin", "hive")},
			{"rm", core, hive},
		}
		for _, c := range commands {
			if err := run(ctx, dir, c[0], c[1:]...); err != nil {
				return err
			}
		}
		return nil
	})
}

func mavenCopy(dir, artifact string) []string {
	const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
	return []string{"mvn", "-q", "-B", plugin, "-Dartifact=" + artifact, "-DoutputDirectory=" + dir}
}

// StartTrino starts a server on a free port and waits until it answers queries.
func StartTrino(ctx context.Context, o TrinoOptions) (*Trino, error) {
	home, err := FetchTrino(ctx)
	if err != nil {
		return nil, err
	}
	java, err := javaOf(ctx, "trino", "25")
	if err != nil {
		return nil, err
	}
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	if err := writeTrinoSettings(o, port); err != nil {
		return nil, err
	}
	args := slices.Concat(trinoJVM, []string{
		"-cp", filepath.Join(home, "lib") + "/*", "-Dplugin.dir=" + filepath.Join(home, "plugin"),
		"-Dnode.data-dir=" + o.Dir, "-Dconfig=" + filepath.Join(o.Dir, "etc", "config.properties"),
		"-Dcatalog.config-dir=" + filepath.Join(o.Dir, "etc", "catalog"),
		"-Dnode.environment=e2e", "-Dnode.id=e2e-1", "io.trino.server.TrinoServer",
	})
	tr := &Trino{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}
	if tr.Process, err = StartProcess("trino", o.Dir, nil, java, args...); err != nil {
		return nil, err
	}
	return tr, tr.up(ctx, 3*time.Minute, tr.ready)
}

func writeTrinoSettings(o TrinoOptions, port int) error {
	etc := filepath.Join(o.Dir, "etc")
	if err := os.MkdirAll(filepath.Join(etc, "catalog"), 0o755); err != nil {
		return fmt.Errorf("make trino's folder: %w", err)
	}
	hive := fmt.Sprintf(trinoHive, o.GlueURL, o.S3URL, o.AccessKey, o.SecretKey) + o.Hive
	var again error
	if o.Athena {
		again = os.WriteFile(filepath.Join(etc, "catalog", "awsdatacatalog.properties"), []byte(hive), 0o600)
	}
	return errors.Join(again,
		os.WriteFile(filepath.Join(etc, "config.properties"), fmt.Appendf(nil, trinoConfig, port), 0o644),
		os.WriteFile(filepath.Join(etc, "catalog", "hive.properties"), []byte(hive), 0o600))
}

func (tr *Trino) ready(ctx context.Context) error {
	var info struct {
		Starting bool `json:"starting"`
	}
	if err := tr.call(ctx, http.MethodGet, tr.URL+"/v1/info", "", "", &info); err != nil {
		return err
	}
	if info.Starting {
		return errors.New("trino is still starting")
	}
	nodes, err := tr.Query(ctx, "weir", "select node_id from system.runtime.nodes where state = 'active'")
	if err == nil && len(nodes) == 0 {
		err = errors.New("trino has not met itself yet, and would refuse what reads a table")
	}
	return err
}
