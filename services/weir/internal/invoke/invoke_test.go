package invoke

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/settings"
)

type kafkaSettings struct {
	Brokers []string `name:"kafka-brokers" default:"127.0.0.1:9092"`
	TLS     bool     `name:"kafka-tls"`
}

type grammar struct {
	Config string `name:"config" help:"Settings file."`

	Sink    sinkCommand `cmd:"" help:"Sink."`
	Gateway struct {
		kafkaSettings
		Listen string `name:"listen" default:"127.0.0.1:8080"`
	} `cmd:"" help:"Gateway."`
	Query struct {
		SQL    string `arg:"" help:"The query."`
		Output string `name:"output" enum:"table,csv,json" default:"table"`
	} `cmd:"" help:"Query."`
	Look lookCommand `cmd:"" help:"Look."`
}

type lookCommand struct {
	Output string `name:"output" enum:"table,csv,json" default:"table"`
}

func (*lookCommand) Inspects() {}

type sinkCommand struct {
	kafkaSettings
	FileAge  time.Duration  `name:"file-age" default:"60s"`
	FileSize settings.Bytes `name:"file-size" default:"256MiB"`
	Workers  int            `name:"workers" default:"4"`
	Token    string         `name:"token" secret:""`
	PodName  string         `name:"pod-name" env:"POD_NAME"`
}

func (s *sinkCommand) Validate() []error {
	var f settings.Faults
	f.Check(s.FileAge >= time.Second, "file-age", "is shorter than 1s")
	f.Check(s.Workers < 100, "workers", "is 100 or more")
	return f
}

func parse(args string, env, files map[string]string) (*Invocation, *grammar, string, error) {
	var out strings.Builder
	g := &grammar{}
	inv, err := Parse(g, "Test.", Input{
		Args: strings.Fields(args),
		Env:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
		Stdout: &out,
	})
	return inv, g, out.String(), err
}

func setting(t *testing.T, inv *Invocation, name string) Setting {
	t.Helper()
	for _, s := range inv.Settings {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no setting %s", name)
	return Setting{}
}

func TestPrecedence(t *testing.T) {
	files := map[string]string{"w.yaml": "file-age: 7s\nkafka-tls: true\nlisten: 1.2.3.4:5\n\nkafka-brokers: [a:1, b:2]\n"}
	for _, c := range []struct {
		args   string
		env    map[string]string
		want   time.Duration
		origin string
	}{
		{"sink", nil, time.Minute, "default"},
		{"sink --config w.yaml", nil, 7 * time.Second, "w.yaml:1"},
		{"sink", map[string]string{"WEIR_CONFIG": "w.yaml"}, 7 * time.Second, "w.yaml:1"},
		{"sink --config w.yaml", map[string]string{"WEIR_FILE_AGE": "8s"}, 8 * time.Second, "WEIR_FILE_AGE"},
		{"sink --config w.yaml", map[string]string{"WEIR_FILE_AGE": ""}, 7 * time.Second, "w.yaml:1"},
		{"sink --config w.yaml --file-age 9s", map[string]string{"WEIR_FILE_AGE": "8s"}, 9 * time.Second, "flag"},
		{"--config w.yaml sink --file-age=60s", nil, time.Minute, "flag"},
	} {
		inv, g, _, err := parse(c.args, c.env, files)
		require.NoError(t, err, c.args)
		require.Equal(t, "sink", inv.Command)
		require.Equal(t, c.want, g.Sink.FileAge, c.args)
		require.Equal(t, c.origin, setting(t, inv, "file-age").Origin, c.args)
	}
	inv, g, _, err := parse("sink --config w.yaml", nil, files)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, g.Sink.Brokers)
	require.True(t, g.Sink.TLS)
	require.Equal(t, Setting{Name: "kafka-brokers", Value: "a:1,b:2", Origin: "w.yaml:5"}, setting(t, inv, "kafka-brokers"))
	require.Same(t, &g.Sink, inv.Target)
}

func TestEveryFaultInOneList(t *testing.T) {
	_, _, _, err := parse("sink --config w.yaml --file-size 3parsecs --werkers 5 --kafka-tls --file-age 1ms",
		map[string]string{"WEIR_WORKERS": "many"},
		map[string]string{"w.yaml": "file-aeg: 7s\nfile_size: 1\ntoken:\nlisten: {a: b}\nworkers: 5\nworkers: 6\nconfig: x\nnonsense: 1\n"})
	require.ErrorIs(t, err, ErrUsage)
	for _, want := range []string{
		"unknown flag --werkers",
		`file-size: "3parsecs" has no known unit`,
		"w.yaml:1: file-aeg is no setting, did you mean file-age?",
		"w.yaml:2: file_size is no setting, did you mean file-size?",
		"w.yaml:3: token: it has no value",
		"w.yaml:4: listen: want a value or a list: the file is flat",
		"w.yaml:6: workers is set twice, first in line 5",
		"w.yaml:7: config is no setting",
		"w.yaml:8: nonsense is no setting\n",
		"workers: expected a valid 64 bit int but got \"many\" (WEIR_WORKERS)",
		"file-age: is shorter than 1s",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 12, "the heading and eleven faults, none twice:\n%s", err)
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"":                               "expected one of",
		"sinkk":                          "unexpected argument sinkk",
		"sink extra":                     "unexpected argument extra",
		"query":                          `expected "<sql>"`,
		"query x --output xml":           `output: "xml" does not exist: want table, csv, json`,
		"sink --file-age":                "file-age: ",
		"sink --config missing.yaml":     "config: open missing.yaml",
		"sink --kafka-tls=perhaps":       "kafka-tls: ",
		"gateway --listen a --nope":      "unknown flag --nope",
		"query --output csv --nope 5 x ": "unknown flag --nope",
	} {
		_, _, _, err := parse(args, nil, nil)
		require.ErrorIs(t, err, ErrUsage, args)
		require.ErrorContains(t, err, want, args)
		require.Len(t, strings.Split(err.Error(), "\n"), 2, "%s: one fault:\n%s", args, err)
	}
}

func TestWhoLooksAtTheFileIsNotStoppedByIt(t *testing.T) {
	for text, output := range map[string]string{
		"nonsense: 1\nworkers: many\noutput: csv\n": "csv",
		"output: xml\n": "table",
		"a: [":          "table",
	} {
		inv, g, _, err := parse("look --config w.yaml", nil, map[string]string{"w.yaml": text})
		require.NoError(t, err, text)
		require.Equal(t, "w.yaml", inv.File)
		require.Equal(t, output, g.Look.Output)
	}
	inv, _, _, err := parse("look --config missing.yaml", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "missing.yaml", inv.File)
	_, _, _, err = parse("look --config w.yaml --output xml", nil, map[string]string{"w.yaml": "nonsense: 1\n"})
	require.EqualError(t, err, "wrong usage:\n  output: \"xml\" does not exist: want table, csv, json")
}

func TestANegativeValueIsAValue(t *testing.T) {
	_, g, _, err := parse("sink --workers -1 --kafka-tls --file-age 2s", nil, nil)
	require.NoError(t, err)
	require.Equal(t, -1, g.Sink.Workers)
	require.True(t, g.Sink.TLS)
	_, _, _, err = parse("sink --file-age -5s --nope -3", nil, nil)
	require.ErrorContains(t, err, "file-age: is shorter than 1s")
	require.ErrorContains(t, err, "unknown flag --nope")
	_, _, _, err = parse("sink --kafka-tls -1", nil, nil)
	require.ErrorIs(t, err, ErrUsage)
}

func TestFileThatIsNoMapping(t *testing.T) {
	for text, want := range map[string]string{"- a\n": "want lines such as", "a: [": "w.yaml"} {
		_, _, _, err := parse("sink --config w.yaml", nil, map[string]string{"w.yaml": text})
		require.ErrorContains(t, err, want)
	}
	_, _, _, err := parse("sink --config w.yaml", nil, map[string]string{"w.yaml": "# nothing\n"})
	require.NoError(t, err)
}

func TestOtherCommandsSettingsAreNotRead(t *testing.T) {
	_, g, _, err := parse("gateway --config w.yaml", map[string]string{"WEIR_WORKERS": "many"},
		map[string]string{"w.yaml": "file-age: never\nlisten: :1\n"})
	require.NoError(t, err)
	require.Equal(t, ":1", g.Gateway.Listen)
}

func TestDurationsReadAsTheyAreWritten(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 0: "0s", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s",
	} {
		require.Equal(t, want, shortDuration(d))
	}
}

func TestOthersVariables(t *testing.T) {
	inv, g, _, err := parse("sink", map[string]string{"POD_NAME": "sink-0"}, nil)
	require.NoError(t, err)
	require.Equal(t, "sink-0", g.Sink.PodName)
	require.Equal(t, "POD_NAME", setting(t, inv, "pod-name").Origin)
	inv, g, _, err = parse("sink", map[string]string{"POD_NAME": "sink-0", "WEIR_POD_NAME": "mine"}, nil)
	require.NoError(t, err)
	require.Equal(t, "mine", g.Sink.PodName)
	require.Equal(t, "WEIR_POD_NAME", setting(t, inv, "pod-name").Origin)
}

func TestHelpAndSecrets(t *testing.T) {
	inv, _, out, err := parse("sink --help", nil, nil)
	require.NoError(t, err)
	require.Empty(t, inv.Command)
	require.Contains(t, out, "--file-age=60s")
	require.Contains(t, out, "$WEIR_FILE_AGE")

	inv, _, _, err = parse("sink --token hush", nil, nil)
	require.NoError(t, err)
	require.Equal(t, "********", setting(t, inv, "token").Value)
	require.False(t, errors.Is(err, ErrUsage))
}
