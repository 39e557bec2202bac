package parts

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Versions of Spark and of what it reads S3 with: Hadoop's version is that of Spark's own jars, the SDK's that of Hadoop.
const (
	SparkVersion  = "3.5.9"
	HadoopVersion = "3.3.4"
	awsSDKVersion = "1.12.262"
)

// The SDK's bundle of all services has 300 MB; S3A links to these three.
const s3aDependencies = `<dependency>
      <groupId>org.apache.hadoop</groupId><artifactId>hadoop-aws</artifactId><version>` + HadoopVersion + `</version>
      <exclusions><exclusion><groupId>com.amazonaws</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
    <dependency><groupId>com.amazonaws</groupId><artifactId>aws-java-sdk-s3</artifactId><version>` + awsSDKVersion + `</version></dependency>
    <dependency><groupId>com.amazonaws</groupId><artifactId>aws-java-sdk-sts</artifactId><version>` + awsSDKVersion + `</version></dependency>
    <dependency><groupId>com.amazonaws</groupId><artifactId>aws-java-sdk-dynamodb</artifactId><version>` + awsSDKVersion + `</version></dependency>`

const s3aPom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir.parts</groupId><artifactId>s3a</artifactId><version>1</version>
  <dependencies>
    ` + s3aDependencies + `
  </dependencies>
</project>
`

// Plans do not change while they run, so that an executed plan's figures are those of the plan that was asked for.
const sparkDefaults = `spark.master local[2]
spark.driver.memory 1g
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.driver.extraJavaOptions -Duser.timezone=UTC -XX:+UseSerialGC -XX:TieredStopAtLevel=1
spark.driver.extraClassPath %[1]s/*:%[1]s
spark.local.dir %[2]s/local
spark.sql.warehouse.dir %[2]s/warehouse
spark.sql.catalogImplementation in-memory
spark.sql.session.timeZone UTC
spark.sql.adaptive.enabled false
spark.sql.shuffle.partitions 1
spark.ui.enabled false
spark.hadoop.io.compression.codecs weir.parts.ZstdCodec
spark.hadoop.fs.s3a.endpoint %[3]s
spark.hadoop.fs.s3a.endpoint.region us-east-1
spark.hadoop.fs.s3a.path.style.access true
spark.hadoop.fs.s3a.access.key %[4]s
spark.hadoop.fs.s3a.secret.key %[5]s
spark.hadoop.fs.s3a.connection.ssl.enabled false
spark.hadoop.fs.s3a.directory.marker.retention keep
`

//go:embed spark.py
var sparkServer []byte

//go:embed ZstdCodec.java
var zstdCodec []byte

// SparkOptions says which S3 stands behind s3a:// addresses; files are read too.
type SparkOptions struct {
	Dir, S3URL, AccessKey, SecretKey string
}

// Spark is one Spark session in local mode, the engine that EMR runs, without a metastore: statements name the files.
type Spark struct{ *Server }

// FetchSpark makes a Python environment with Spark in it, and the folder of the jars with which it reads S3.
// Prerequisites: Python 3 with venv and pip, JDK 17, Maven.
func FetchSpark(ctx context.Context) (home, jars string, err error) {
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", "", fmt.Errorf("spark needs mvn on the path: %w", err)
	}
	if _, err := javaOf(ctx, "spark", "17"); err != nil {
		return "", "", err
	}
	home, err = fetchPython(ctx, "spark-"+SparkVersion, "pyspark=="+SparkVersion)
	if err != nil {
		return "", "", err
	}
	jars, err = once(ctx, "s3a-zstd-"+HadoopVersion, func(ctx context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(s3aPom), 0o644); err != nil {
			return err
		}
		if err := run(ctx, dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=.", "-DincludeGroupIds=org.apache.hadoop,com.amazonaws"); err != nil {
			return err
		}
		return compileCodec(ctx, dir, home)
	})
	return home, jars, err
}

// compileCodec adds to the folder of jars what reads .zst files.
func compileCodec(ctx context.Context, dir, home string) error {
	java, err := jdk17(ctx, "spark")
	if err != nil {
		return err
	}
	spark, err := sparkHome(home)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "ZstdCodec.java"), zstdCodec, 0o644); err != nil {
		return err
	}
	return run(ctx, dir, filepath.Join(filepath.Dir(java), "javac"), "-cp", filepath.Join(spark, "jars", "*"), "-d", ".", "ZstdCodec.java")
}

// sparkHome is the folder of Spark in its Python environment.
func sparkHome(environment string) (string, error) {
	installed, err := filepath.Glob(filepath.Join(environment, "lib", "python3*", "site-packages", "pyspark"))
	if err != nil || len(installed) != 1 {
		return "", fmt.Errorf("find pyspark in %s: %d found", environment, len(installed))
	}
	return installed[0], nil
}

// StartSpark starts a session and waits until it answers statements.
func StartSpark(ctx context.Context, o SparkOptions) (*Spark, error) {
	python, env, err := sparkPython(ctx, o)
	if err != nil {
		return nil, err
	}
	script := filepath.Join(o.Dir, "spark.py")
	if err := os.WriteFile(script, sparkServer, 0o644); err != nil {
		return nil, fmt.Errorf("write spark's script: %w", err)
	}
	s, err := startHTTP(ctx, 3*time.Minute, "spark", o.Dir, env, func(port int) []string {
		return []string{python, script, fmt.Sprint(port)}
	})
	if err != nil {
		return nil, err
	}
	return &Spark{s}, nil
}

// sparkPython returns the Python, and the environment, that any script needs whose session should be o's.
func sparkPython(ctx context.Context, o SparkOptions) (python string, env []string, err error) {
	home, jars, err := FetchSpark(ctx)
	if err != nil {
		return "", nil, err
	}
	java, err := jdk17(ctx, "spark")
	if err != nil {
		return "", nil, err
	}
	spark, err := sparkHome(home)
	if err != nil {
		return "", nil, err
	}
	settings := fmt.Sprintf(sparkDefaults, jars, o.Dir, cmp.Or(o.S3URL, "http://127.0.0.1:1"), cmp.Or(o.AccessKey, "none"), cmp.Or(o.SecretKey, "none"))
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("make spark's folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "spark-defaults.conf"), []byte(settings), 0o600); err != nil {
		return "", nil, fmt.Errorf("write spark's settings: %w", err)
	}
	python = filepath.Join(home, "bin", "python")
	return python, []string{
		"JAVA_HOME=" + filepath.Dir(filepath.Dir(java)), "SPARK_HOME=" + spark, "SPARK_CONF_DIR=" + o.Dir,
		"SPARK_LOCAL_IP=127.0.0.1", "PYSPARK_PYTHON=" + python, "TZ=UTC",
	}, nil
}

// SparkEnvironment is with what a spark-submit that somebody else starts finds Spark, and o's settings.
func SparkEnvironment(ctx context.Context, o SparkOptions) ([]string, error) {
	_, env, err := sparkPython(ctx, o)
	return env, err
}

// SubmitSpark runs a job as spark-submit does, in a session of its own that is o's, and returns what it printed and the code
// it exited with; an error is one that kept it from ending by itself. Modules beside the script are found, as those of
// --py-files are.
func SubmitSpark(ctx context.Context, o SparkOptions, script string, args ...string) (printed string, code int, err error) {
	python, env, err := sparkPython(ctx, o)
	if err != nil {
		return "", 0, err
	}
	env = append(env, "PYTHONPATH="+filepath.Dir(script))
	out, said, code, err := toEnd(ctx, o.Dir, env, append([]string{python, script}, args...))
	if err != nil || code == 0 {
		return out, code, err
	}
	_, fault, _ := bytes.Cut(said, []byte("\nTraceback ")) // what follows it is the JVM's farewell
	return out + string(fault[:min(len(fault), 8<<10)]), code, nil
}

// Query runs one statement and returns every row, values as JSON gives them, and how many rows the scans of files
// handed on: those of the row groups and pages that were not left out. A statement has five minutes.
func (s *Spark) Query(ctx context.Context, sql string) (rows [][]any, scanned int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(sql))
	if err != nil {
		return nil, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("ask spark %q: %w\n%s", sql, err, s.Tail())
	}
	defer resp.Body.Close()
	var answer struct {
		Rows    [][]any `json:"rows"`
		Scanned int     `json:"scanned"`
		Error   string  `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, 0, fmt.Errorf("read spark's answer to %q: %w", sql, err)
	}
	if answer.Error != "" {
		return nil, 0, fmt.Errorf("spark refused %q: %w", sql, errors.New(answer.Error))
	}
	return answer.Rows, answer.Scanned, nil
}
