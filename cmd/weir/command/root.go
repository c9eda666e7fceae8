package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/app"
	"github.com/weir-ml/weir/registry/feature"
)

// Version is set by the build.
var Version = "dev"

// errNo ends a command with exit code 1: the question was understood and the answer is no.
var errNo = errors.New("no")

// outputsOf is the annotation of a command that knows one more value for -o.
const outputsOf = "outputs"

// env is what every command shares.
type env struct {
	out, err   io.Writer
	in         io.Reader
	configFile string
	server     string
	project    string
	output     string // table or json
	set        []string
}

// Main runs the command line and returns the exit code.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e := &env{out: out, err: errw, in: in}
	root := e.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNo):
		return 1
	}
	fmt.Fprintln(errw, "weir: "+explain(err))
	return 2
}

// explain turns an error into what a person reads: what, where, what to do.
func explain(err error) string {
	var fe *feature.Error
	if errors.As(err, &fe) {
		return err.Error()
	}
	if s, ok := fromStatus(err); ok {
		return s
	}
	return err.Error()
}

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "weir",
		Short: "A streaming feature store and data-quality service in one binary",
		Long: `Weir checks every event of a Kafka stream, holds the bad ones back with the reason,
writes the good ones to an Iceberg table for training and to Redis for inference,
and tells you when the stream drifts away from what a model was trained on.

Start with: weir demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       Version,
	}
	f := root.PersistentFlags()
	f.StringVar(&e.configFile, "config", "", "settings file (weir.yaml in this folder when there is one)")
	f.StringVar(&e.server, "server", "", "gRPC address of a running Weir (setting: server)")
	f.StringVar(&e.project, "project", "", "project (setting: project)")
	f.StringVarP(&e.output, "output", "o", "table", "table or json")
	f.StringArrayVar(&e.set, "set", nil, "a setting, like ingest.flush_interval=1s; may be repeated")
	root.AddCommand(
		e.up(), e.run(), e.demo(),
		e.plan(), e.apply(), e.get(), e.describe(), e.delete(),
		e.importFiles(), e.migrate(), e.lookup(), e.snapshot(), e.model(), e.lineage(), e.export(), e.quarantine(), e.monitor(), e.quality(), e.events(), e.pipelines(), e.status(), e.resume(),
		e.check(), e.compare(), e.profile(), e.audit(), e.materialize(), e.compact(), e.expire(), e.table(),
		e.config(), e.version(),
	)
	for _, c := range root.Commands() {
		if c.HasSubCommands() && c.RunE == nil {
			c.Args, c.RunE = cobra.ArbitraryArgs, groupOf
		}
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if strings.HasPrefix(err.Error(), "unknown shorthand flag: '1'") {
			return fmt.Errorf("an event of a file begins with a dash: name the file too, as weir quarantine list does (file:NAME/-1/3), or write -- before it")
		}
		return fmt.Errorf("%w (run: %s --help)", err, c.CommandPath())
	})
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		if own := c.Annotations[outputsOf]; own != "" && e.output == own {
			return nil
		}
		if e.output != "table" && e.output != "json" && e.output != "yaml" {
			own := c.Annotations[outputsOf]
			if own != "" {
				own = ", or " + own
			}
			return fmt.Errorf("-o %s: use table or json%s", e.output, own)
		}
		return nil
	}
	return root
}

// load makes the configuration from file, environment and flags.
func (e *env) load(extra map[string]string) (app.Config, error) {
	set := map[string]string{}
	for _, s := range e.set {
		k, v, ok := strings.Cut(s, "=")
		if !ok {
			return app.Config{}, fmt.Errorf("--set %s: write it as setting=value", s)
		}
		set[k] = v
	}
	if e.server != "" {
		set["server"] = e.server
	}
	if e.project != "" {
		set["project"] = e.project
	}
	for k, v := range extra {
		set[k] = v
	}
	return app.Load(e.configFile, set)
}

// groupOf runs a command that only has others below it: its help, or what is wrong with the name.
func groupOf(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	msg := fmt.Sprintf("%s has no command %q", c.CommandPath(), args[0])
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		msg += fmt.Sprintf(" (did you mean %q?)", s[0])
	}
	return fmt.Errorf("%s (run: %s --help)", msg, c.CommandPath())
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > n && n > 0 {
			return fmt.Errorf("%q is one too many: give %s (run: %s --help)", args[n], what, c.CommandPath())
		}
		if len(args) != n {
			return fmt.Errorf("give %s (run: %s --help)", what, c.CommandPath())
		}
		return nil
	}
}
