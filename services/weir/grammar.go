package main

import (
	"weir/services/dev"
	"weir/services/query/rows"
)

const description = "Customer events in, a queryable lake out: Segment's API and Kafka clients → Kafka → Parquet on S3, exactly once → Glue and SQL.\n\n" +
	"Every setting is a flag, a WEIR_ variable and a line of the --config file; the first of these that says it counts. " +
	"AWS settings are the SDK's own (AWS_REGION, AWS_ENDPOINT_URL_S3, …), OpenTelemetry's too (OTEL_*)."

// grammar is the command line. A field's tags are kong's.
type grammar struct {
	ConfigFile string `name:"config" help:"File of settings, one a line: file-age: 60s." placeholder:"weir.yaml"`

	Dev         devCommand         `cmd:"" help:"Everything in one process, to try it out."`
	Gateway     gatewayCommand     `cmd:"" help:"HTTP (Segment's API), Connect and gRPC to Kafka."`
	Sink        sinkCommands       `cmd:"" help:"Kafka to Parquet and raw copies in S3."`
	Catalog     catalogs           `cmd:"" help:"Flush notifications to Glue; and what Glue holds."`
	Query       queryCommand       `cmd:"" help:"SQL on the lake."`
	Jobs        jobCommands        `cmd:"" help:"The Spark jobs over the lake, on EMR or here: submit, run, status, logs, list, cancel."`
	Verify      verifyCommand      `cmd:"" help:"Prove that nothing is missing or doubled; exit 3 where something is."`
	Sources     sourceCommands     `cmd:"" help:"Who may send events: list, add, rotate, disable."`
	Tail        tailCommand        `cmd:"" help:"What gateways take in, as it comes: a sample, masked."`
	Rejected    rejectedCommands   `cmd:"" help:"Events that the gateway refused: list, show, redrive."`
	DeadLetters deadLetterCommands `cmd:"" name:"deadletters" help:"Records that are no events: list, show, redrive."`
	Version     versionCommand     `cmd:"" help:"Version, commit, Go, build settings."`
	Config      configCommands     `cmd:"" help:"Settings in effect, and where each comes from."`
}

// output is how a command prints a table.
type output struct {
	Output rows.Format `name:"output" enum:"table,csv,json" default:"table" help:"How tables are printed: table, csv or json. In json NaN, Infinity and -Infinity are texts, as in Athena's."`
}

// process is what every long-running command has.
type process struct {
	Admin     string `name:"admin" default:"127.0.0.1:9090" help:"Address of /metrics, /livez, /readyz and /debug/pprof; port 0 picks a free one."`
	LogLevel  string `name:"log-level" default:"info" enum:"debug,info,warn,error" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat string `name:"log-format" default:"json" enum:"json,text" help:"Log lines as json or text."`
}

// devHere is the folder of weir dev where nothing else is said.
const devHere = ".weir"

// devDir turns a command to the parts of a running weir dev.
type devDir struct {
	Dir string `name:"dir" help:"Folder of a running weir dev to look at. Empty: what the Kafka and AWS settings name."`
}

// point is nil where no folder is named.
func (d devDir) point() (*dev.Addresses, error) {
	if d.Dir == "" {
		return nil, nil
	}
	addresses, err := dev.ReadAddresses(d.Dir)
	if err != nil {
		return nil, err
	}
	dev.PointSDK(addresses)
	return &addresses, nil
}
