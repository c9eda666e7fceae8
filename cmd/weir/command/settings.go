package command

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (e *env) config() *cobra.Command {
	var diff bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Print every setting with its value, after file, environment and flags",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := e.load(nil)
			if err != nil {
				return err
			}
			all := c.Settings()
			if e.output == "json" {
				return printJSON(e.out, all)
			}
			t := newTable(e.out, "setting", "value", "default")
			for _, s := range all {
				if diff && !s.Changed {
					continue
				}
				def := ""
				if s.Changed {
					def = fmt.Sprint(s.Default)
				}
				t.AppendRow([]any{s.Key, fmt.Sprint(s.Value), def})
			}
			t.Render()
			return nil
		},
	}
	c.Flags().BoolVar(&diff, "diff", false, "only what differs from the default")
	return c
}

func (e *env) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			commit := ""
			if bi, ok := debug.ReadBuildInfo(); ok {
				for _, s := range bi.Settings {
					if s.Key == "vcs.revision" {
						commit = s.Value
					}
				}
			}
			if e.output == "json" {
				return printJSON(e.out, map[string]string{"version": Version, "commit": commit, "go": runtime.Version()})
			}
			fmt.Fprintf(e.out, "weir %s %s %s/%s\n", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
