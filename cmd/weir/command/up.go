package command

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-ml/weir/cmd/weir/app"
)

func (e *env) up() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything in one process, until Ctrl-C",
		Long: `Runs every role in one process. What has no address configured runs inside it: Kafka
(with its log in the data folder), Redis (filled from the tables at start), SQLite and local files.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set := map[string]string{}
			if dir != "" {
				set["data_dir"] = dir
			}
			return e.serve(cmd.Context(), set, app.RoleAll)
		},
	}
	c.Flags().StringVar(&dir, "data", "", "data folder (setting: data_dir)")
	return c
}

func (e *env) run() *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "run --role ROLE[,ROLE]",
		Short: "Run some roles, in production: " + strings.Join(app.RoleNames(), ", "),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(roles) == 0 {
				return fmt.Errorf("give --role: one or more of %s", strings.Join(app.RoleNames(), ", "))
			}
			return e.serve(cmd.Context(), nil, roles...)
		},
	}
	c.Flags().StringSliceVar(&roles, "role", nil, "roles to run")
	return c
}

// serve runs an application until ctx ends and it has stopped cleanly.
func (e *env) serve(ctx context.Context, set map[string]string, roles ...string) error {
	c, err := e.load(set)
	if err != nil {
		return err
	}
	log := e.logger(c.Log)
	a, err := app.New(c, log, roles...)
	if err != nil {
		return err
	}
	a.Version = Version
	defer app.HoldMemory(c.Memory)()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-a.Ready():
	case err := <-ended:
		return err
	}
	t := newTable(e.out)
	for _, l := range a.Addresses() {
		t.AppendRow([]any{l.What, l.Addr})
	}
	t.Render()
	fmt.Fprintln(e.out, "\nweir is up; Ctrl-C stops it")
	return <-ended
}

func (e *env) logger(c app.LogConfig) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked by Config.Validate
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(e.err, o))
	}
	return slog.New(slog.NewTextHandler(e.err, o))
}
