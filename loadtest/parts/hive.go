package parts

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Versions of EMR 7: Hive, and its engine. Around them stands the Hadoop with which Spark reads S3 too.
const (
	HiveVersion  = "3.1.3"
	TezVersion   = "0.10.2"
	openxVersion = "1.3.9-e.12"
)

// Two of Hive's dependencies are not to be had from Maven's own repository, and Hive does without; the rest of the exclusions
// are what only other storages need.
var hivePom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir.parts</groupId><artifactId>hive</artifactId><version>1</version>
  <dependencyManagement><dependencies>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-auth</artifactId><version>` + HadoopVersion + `</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-annotations</artifactId><version>` + HadoopVersion + `</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-mapreduce-client-core</artifactId><version>` + HadoopVersion + `</version></dependency>
  </dependencies></dependencyManagement>
  <dependencies>
    <dependency><groupId>org.apache.hive</groupId><artifactId>hive-cli</artifactId><version>` + HiveVersion + `</version><exclusions>
      <exclusion><groupId>org.pentaho</groupId><artifactId>*</artifactId></exclusion>
      <exclusion><groupId>org.glassfish</groupId><artifactId>javax.el</artifactId></exclusion>
      <exclusion><groupId>org.apache.hbase</groupId><artifactId>*</artifactId></exclusion>
      <exclusion><groupId>org.apache.hive</groupId><artifactId>hive-llap-server</artifactId></exclusion>
    </exclusions></dependency>
    <dependency><groupId>org.apache.hive.hcatalog</groupId><artifactId>hive-hcatalog-core</artifactId><version>` + HiveVersion + `</version><exclusions>
      <exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>
    </exclusions></dependency>
    <dependency><groupId>io.starburst.openx.data</groupId><artifactId>json-serde</artifactId><version>` + openxVersion + `</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-common</artifactId><version>` + HadoopVersion + `</version></dependency>
    <dependency><groupId>org.apache.hadoop</groupId><artifactId>hadoop-mapreduce-client-common</artifactId><version>` + HadoopVersion + `</version></dependency>
    ` + tezDependency("tez-dag") + tezDependency("tez-mapreduce") + tezDependency("tez-runtime-library") + s3aDependencies + `
  </dependencies>
</project>
`

const hadoopSite = `<configuration>
<property><name>hadoop.tmp.dir</name><value>%[1]s/tmp</value></property>
<property><name>fs.s3a.endpoint</name><value>%[2]s</value></property>
<property><name>fs.s3a.endpoint.region</name><value>us-east-1</value></property>
<property><name>fs.s3a.path.style.access</name><value>true</value></property>
<property><name>fs.s3a.connection.ssl.enabled</name><value>false</value></property>
<property><name>fs.s3a.directory.marker.retention</name><value>keep</value></property>
</configuration>
`

const hiveSite = `<configuration>
<property><name>javax.jdo.option.ConnectionURL</name><value>jdbc:derby:;databaseName=%[1]s/derby;create=true</value></property>
<property><name>datanucleus.schema.autoCreateAll</name><value>true</value></property>
<property><name>hive.metastore.schema.verification</name><value>false</value></property>
<property><name>hive.metastore.try.direct.sql</name><value>false</value></property>
<property><name>hive.metastore.warehouse.dir</name><value>%[1]s/warehouse</value></property>
<property><name>hive.exec.scratchdir</name><value>%[1]s/scratch</value></property>
<property><name>hive.exec.local.scratchdir</name><value>%[1]s/scratch</value></property>
<property><name>hive.downloaded.resources.dir</name><value>%[1]s/resources</value></property>
<property><name>hive.async.log.enabled</name><value>false</value></property>
<property><name>hive.execution.engine</name><value>tez</value></property>
<property><name>hive.tez.container.size</name><value>512</value></property>
<property><name>hive.user.install.directory</name><value>%[1]s/user</value></property>
<property><name>hive.jar.directory</name><value>%[1]s/jars</value></property>
<property><name>tez.local.mode</name><value>true</value></property>
<property><name>tez.ignore.lib.uris</name><value>true</value></property>
<property><name>tez.staging-dir</name><value>%[1]s/staging</value></property>
<property><name>tez.runtime.optimize.local.fetch</name><value>true</value></property>
<property><name>tez.am.inline.task.execution.max-tasks</name><value>2</value></property>
<property><name>tez.am.sleep.time.before.exit.millis</name><value>0</value></property>
</configuration>
`

const hiveLog = `status = ERROR
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c{1}: %m%n
rootLogger.level = ERROR
rootLogger.appenderRef.console.ref = console
`

// A command of a cluster, as a script: which java, what it opens of itself to reflection, the folders of the part and of the
// settings, the class.
const hiveCommand = `#!/bin/sh
%[5]sexec %[1]q -Xmx768m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Duser.timezone=${TZ:-UTC} %[2]s -cp %[3]q/classes weir.parts.HiveMain %[3]q %[3]q/classes:%[4]q %[6]s "$@"
`

//go:embed HiveMain.java
var hiveMain []byte

//go:embed HiveSubList.java
var hiveSubList []byte

func tezDependency(artifact string) string {
	return "<dependency><groupId>org.apache.tez</groupId><artifactId>" + artifact + "</artifactId><version>" + TezVersion + "</version><exclusions>" +
		"<exclusion><groupId>org.apache.hadoop</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
}

// HiveOptions says which S3 stands behind s3a:// addresses; files are read too.
type HiveOptions struct {
	Dir, S3URL, AccessKey, SecretKey string
}

// FetchHive makes a folder of Hive's jars, OpenX's SerDe among them. Prerequisites: JDK 17, Maven.
func FetchHive(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", fmt.Errorf("hive needs mvn on the path: %w", err)
	}
	java, err := jdk17(ctx, "hive")
	if err != nil {
		return "", err
	}
	return once(ctx, "hive-"+HiveVersion+"-tez-"+TezVersion, func(ctx context.Context, dir string) error {
		err := errors.Join(
			os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(hivePom), 0o644),
			os.WriteFile(filepath.Join(dir, "HiveMain.java"), hiveMain, 0o644),
			os.WriteFile(filepath.Join(dir, "HiveSubList.java"), hiveSubList, 0o644))
		if err != nil {
			return err
		}
		if err := run(ctx, dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=.", "-DincludeScope=runtime", "-DexcludeArtifactIds=slf4j-log4j12,slf4j-reload4j"); err != nil {
			return err
		}
		return run(ctx, dir, filepath.Join(filepath.Dir(java), "javac"), "-cp", "*", "-d", "classes", "HiveMain.java", "HiveSubList.java")
	})
}

// hiveCommands writes a cluster's settings into o's folder and its commands, hive and hadoop, into one that it returns: a
// metastore in Derby, and Tez inside the command's own process.
func hiveCommands(ctx context.Context, o HiveOptions) (bin string, err error) {
	home, err := FetchHive(ctx)
	if err != nil {
		return "", err
	}
	java, err := jdk17(ctx, "hive")
	if err != nil {
		return "", err
	}
	bin, settings := filepath.Join(o.Dir, "bin"), filepath.Join(o.Dir, "conf")
	if err := errors.Join(os.MkdirAll(bin, 0o755), os.MkdirAll(settings, 0o755)); err != nil {
		return "", fmt.Errorf("make hive's folders: %w", err)
	}
	var opens []string
	for _, p := range []string{"lang", "lang.reflect", "util", "util.concurrent", "util.concurrent.atomic", "util.regex", "net", "io", "nio", "time", "text"} {
		opens = append(opens, "--add-opens java.base/java."+p+"=ALL-UNNAMED")
	}
	command := func(before, class string) []byte {
		return fmt.Appendf(nil, hiveCommand, java, strings.Join(opens, " "), home, settings, before, class)
	}
	return bin, errors.Join(
		os.WriteFile(filepath.Join(settings, "core-site.xml"), fmt.Appendf(nil, hadoopSite, o.Dir, o.S3URL), 0o644),
		os.WriteFile(filepath.Join(settings, "hive-site.xml"), fmt.Appendf(nil, hiveSite, o.Dir), 0o644),
		os.WriteFile(filepath.Join(settings, "hive-log4j2.properties"), []byte(hiveLog), 0o644),
		os.WriteFile(filepath.Join(settings, "log4j2.properties"), []byte(hiveLog), 0o644),
		os.WriteFile(filepath.Join(bin, "hive"), command("", "org.apache.hadoop.hive.cli.CliDriver"), 0o755),
		os.WriteFile(filepath.Join(bin, "hadoop"), command("shift # fs\n", "org.apache.hadoop.fs.FsShell"), 0o755))
}

// RunHive runs a command on what is to it the primary node of a cluster: hive and hadoop are on the path. It returns what the
// command printed and the code it exited with; an error is one that kept it from ending by itself.
func RunHive(ctx context.Context, o HiveOptions, command string, args ...string) (printed string, code int, err error) {
	bin, err := hiveCommands(ctx, o)
	if err != nil {
		return "", 0, err
	}
	env := []string{ // Hive keeps keys that stand in settings from its engine
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "AWS_ACCESS_KEY_ID=" + o.AccessKey, "AWS_SECRET_ACCESS_KEY=" + o.SecretKey,
	}
	if command == "hive" {
		command = filepath.Join(bin, command)
	}
	out, said, code, err := toEnd(ctx, o.Dir, env, append([]string{command}, args...))
	if err != nil || code == 0 {
		return out, code, err
	}
	return out + string(said[:min(len(said), 8<<10)]), code, nil
}
