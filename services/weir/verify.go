package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"weir/pkg/settings"
	"weir/services/dev"
	"weir/services/dev/screen"
	"weir/services/verify"
	"weir/services/weir/internal/invoke"
)

type verifyCommand struct {
	verify.Config `embed:""`

	Dir    string `name:"dir" help:"Folder of the running weir dev to look at. Empty: .weir, or what the Kafka and AWS settings name where kafka-brokers or lake is set."`
	Output string `name:"output" enum:"table,json" default:"table" help:"The report as table or json."`
}

// Help is what scripts hold on to.
func (*verifyCommand) Help() string {
	return "Exit codes:\n\n" +
		"0 nothing is missing or doubled; loss that an operator accepted (weir sink recover --accept-loss) is listed\n\n" +
		"1 it could not look: Kafka or the lake does not answer\n\n" +
		"2 wrong usage: settings, a topic that does not exist, a group other than the one that owns the topic in this lake\n\n" +
		"3 something is missing or doubled, also where an operator had records read again (weir sink recover --from), " +
		"and where no sink has ever started on a topic that has records"
}

// Validate says what is wrong with the lake's own settings only where they are sure to
// be used; run does where it is known.
func (c *verifyCommand) Validate() []error {
	faults, byDefault := c.Config.Validate(), verify.DefaultConfig()
	if c.Dir == "" && (c.Lake != byDefault.Lake || fmt.Sprint(c.Kafka.Brokers) != fmt.Sprint(byDefault.Kafka.Brokers)) {
		return append(faults, lakeFaults()...)
	}
	return faults
}

func (c *verifyCommand) run(ctx context.Context, std stdio) error {
	cfg, err := c.where(std.settings)
	if err != nil {
		return err
	}
	show := screen.New(std.err, std.err == os.Stderr && isTerminal(os.Stderr))
	cfg.Progress = func(text string) { show.Progress("%s", text) }
	report, err := verify.Run(ctx, cfg)
	show.Done()
	var wrong settings.Fault
	if errors.As(err, &wrong) {
		return invoke.Faults{wrong}
	}
	if err != nil {
		return err
	}
	if err := write(report, c.Output, std); err != nil {
		return err
	}
	if !report.OK() {
		return errFound
	}
	return nil
}

// where is what to verify: as with weir query that of weir dev, unless the Kafka or the
// lake is named.
func (c *verifyCommand) where(all []invoke.Setting) (verify.Config, error) {
	cfg, dir := c.Config, c.Dir
	if dir == "" && (named(all, "kafka-brokers") || named(all, "lake")) {
		if faults := lakeFaults(); len(faults) > 0 {
			return cfg, invoke.Faults(faults)
		}
		return cfg, nil
	}
	if dir == "" {
		dir = devHere
	}
	addresses, err := devDir{Dir: dir}.point()
	if errors.Is(err, dev.ErrNoDirectory) {
		return cfg, fmt.Errorf("%w: %w: name one with --dir, or what to verify with --kafka-brokers and --lake", invoke.ErrUsage, err)
	}
	if err != nil {
		return cfg, err
	}
	cfg.Kafka.Brokers = []string{addresses.Kafka}
	cfg.LocalRoot, err = dev.BucketRoot(dir)
	return cfg, err
}

// named reports whether a setting was given, by whatever way.
func named(all []invoke.Setting, name string) bool {
	for _, s := range all {
		if s.Name == name {
			return s.Origin != "default"
		}
	}
	return false
}

func write(report *verify.Report, output string, std stdio) error {
	if output != "json" {
		return report.WriteText(std.out)
	}
	enc := json.NewEncoder(std.out)
	enc.SetIndent("", "  ")
	return enc.Encode(report)
}
